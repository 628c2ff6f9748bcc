#pragma once

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace octet::cli {

/// A verb's options by the names that they have in a config file: "--batch-size" is "batch_size", MODEL is "model".
using RunSettings = std::vector<std::pair<std::string, std::string>>;

/// The name of one.
std::string setting_name(const CLI::Option& option);

/// Gives each option that the command line has not given what the settings say; those in `left_out` and the settings
/// named so stay alone. `where`: the file, for errors. Throws octet::Error for a setting that is none of the verb's,
/// and CLI::ParseError for a value that its option refuses.
void take_settings(CLI::App& verb, const RunSettings& settings, const std::set<std::string>& left_out,
                   const std::string& where);

/// The names of those that stand at their defaults.
std::set<std::string> at_defaults(const CLI::App& verb);

/// What all options but `left_out` stand at, those without a value left out.
RunSettings settings_of(const CLI::App& verb, const std::set<std::string>& left_out);

}  // namespace octet::cli
