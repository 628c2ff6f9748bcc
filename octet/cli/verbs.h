#pragma once

#include <CLI/CLI.hpp>

namespace octet::cli {

// One function a verb: adds its options to the program and what runs when it is called.
void add_quantize(CLI::App& program);
void add_train(CLI::App& program);
void add_eval(CLI::App& program);
void add_run(CLI::App& program);
void add_inspect(CLI::App& program);
void add_compare(CLI::App& program);
void add_check(CLI::App& program);
void add_export(CLI::App& program);
void add_verify(CLI::App& program);
void add_operators(CLI::App& program);
void add_demo(CLI::App& program);

}  // namespace octet::cli
