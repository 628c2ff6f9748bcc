#pragma once

#include <iosfwd>
#include <memory>
#include <optional>
#include <string>

#include "octet/cli/verbs.h"
#include "octet/targets/engine/config_file.h"
#include "octet/targets/engine/table_quantizer.h"

namespace octet::cli {

/// The config file, if there is one, with the arguments put over it. `mode` stands for the config's where it is given.
/// Throws octet::Error naming the file and key, or the flag; and where the scheme is made for another mode.
targets::QuantizerConfig resolve(const QuantizerArguments& arguments, std::optional<QuantizationMode> mode);

/// The flag of a setting: "--mul-range" of "mul_range".
std::string flag_of(std::string setting);

/// The quantizer of the options' target.
targets::TableQuantizer make_quantizer(const targets::QuantizerOptions& options);

/// As the config beside a model says, else the standard one.
targets::TableQuantizer quantizer_beside(const std::string& model, bool is_quantized);

/// Prints the settings, what each override matched, and a row an operator of the model as the quantizer sees it.
void print(const targets::TableQuantizer::Explanation& explanation, const targets::TableQuantizer& quantizer,
           std::ostream& out);

/// Writes `output`.json, whole or not at all.
void write_config(const targets::QuantizerConfig& config, const std::string& output);
/// The same of a training in float, which has no quantizer: its settings alone.
void write_run_settings(const std::vector<std::pair<std::string, std::string>>& settings, const std::string& output);

}  // namespace octet::cli
