#pragma once

#include <CLI/CLI.hpp>

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/targets/neutron/neutron_quantizer.h"

namespace octet::cli {

/// What the verbs that quantize say of the quantizer.
struct QuantizerFlags {
  std::string config;
  std::string target;     ///< empty: the config's, else the default
  std::string mul_range;  ///< the same
  std::string sigmoid_input;
  std::vector<std::string> leave_float;
  bool explain = false;
};

/// --config, --target, --mul-range, --sigmoid-input, --leave-float.
void add_quantizer_settings(CLI::App& verb, QuantizerFlags& flags);
/// The same, and --explain.
void add_quantizer_flags(CLI::App& verb, QuantizerFlags& flags);

/// The config file, if there is one, with the flags put over it. `is_qat` stands for the config's where it is given.
/// Throws octet::Error naming the file and key, or the flag.
QuantizerConfig resolve(const QuantizerFlags& flags, std::optional<bool> is_qat);

/// Prints the settings, what each override matched, and a row an operator of the model as the quantizer sees it.
void print(const NeutronQuantizer::Explanation& explanation, const NeutronOptions& options, std::ostream& out);

/// Writes `output`.json, whole or not at all.
void write_config(const QuantizerConfig& config, const std::string& output);

}  // namespace octet::cli
