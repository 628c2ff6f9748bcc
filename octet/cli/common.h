#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"

namespace octet::cli {

/// --threads, --seed, --quiet: taken before or after the verb, in force before it runs.
void add_global_options(CLI::App& program);
/// Puts the global options in force.
void apply_global_options();
/// The seed given, 0 by default.
uint64_t seed();
/// The seed given, or else `other`, which is in force from now on.
uint64_t seed_or(uint64_t other);

/// Reads a .pt2, an octet container or a TorchScript file. `input_sizes` ("1,3,224,224" each) are for TorchScript,
/// which records no shapes.
std::shared_ptr<GraphModule> open_model(const std::string& path, const std::vector<std::string>& input_sizes = {});
/// "1,3,224,224"; throws octet::Error naming --input-size for anything but positive numbers.
std::vector<int64_t> parse_sizes(const std::string& text);
/// Option --input-size for verbs that open a model.
void add_input_size(CLI::App& verb, std::vector<std::string>& input_sizes);

/// Bytes of parameters, buffers and constants that the graph reads.
int64_t model_bytes(const GraphModule& module);

/// "3.4 MB"
std::string bytes_text(int64_t bytes);
/// A number with `digits` behind the point.
std::string fixed(double value, int digits);

}  // namespace octet::cli
