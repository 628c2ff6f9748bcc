#pragma once
// Internal to octet/cli: flags that several verbs have, declared once.

#include <CLI/App.hpp>

#include "octet/cli/verbs.h"

namespace octet::cli {

/// Finite numbers alone; those over 0, from 0 on, and from 0 to 1: CLI11's own checks take NaN for a number in any
/// range.
CLI::Validator finite();
CLI::Validator positive();
CLI::Validator not_negative();
CLI::Validator up_to_one();

void add_allowed_operators(CLI::App& verb, ModelArguments& model);
/// What the name of one of octet's own models leaves open.
void add_named(CLI::App& verb, NamedModelArguments& named);
/// How any model is read: the two above, and --input-size.
void add_reading(CLI::App& verb, ModelArguments& model);

CLI::Option* add_data(CLI::App& verb, std::string& spec);
void add_task(CLI::App& verb, std::string& task);
void add_device(CLI::App& verb, std::string& device);
/// How files become samples; `trains`: what is changed by chance, too.
void add_making(CLI::App& verb, MakingArguments& making, bool trains);

void add_target(CLI::App& verb, std::string& target);
void add_quantizer_settings(CLI::App& verb, QuantizerArguments& quantizer);
/// The settings, and --explain.
void add_quantizer(CLI::App& verb, QuantizerArguments& quantizer);
/// How a .tflite or a .pt2 is written.
void add_writing(CLI::App& verb, OutputArguments& writing);

}  // namespace octet::cli
