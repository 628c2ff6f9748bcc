#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "octet/cli/verbs.h"
#include "octet/targets/neutron/neutron_quantizer.h"

namespace octet::cli {

/// The config file, if there is one, with the arguments put over it. `is_qat` stands for the config's where it is
/// given. Throws octet::Error naming the file and key, or the flag.
QuantizerConfig resolve(const QuantizerArguments& arguments, std::optional<bool> is_qat);

/// Prints the settings, what each override matched, and a row an operator of the model as the quantizer sees it.
void print(const NeutronQuantizer::Explanation& explanation, const NeutronOptions& options, std::ostream& out);

/// Writes `output`.json, whole or not at all.
void write_config(const QuantizerConfig& config, const std::string& output);

}  // namespace octet::cli
