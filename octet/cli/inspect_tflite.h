#pragma once

#include <string>

namespace octet::cli {

/// What an int8 .tflite holds: inputs, results, a row an operator with its grids, memory. `json`: the same as an
/// object.
void inspect_tflite(const std::string& path, bool json);

}  // namespace octet::cli
