#pragma once

#include <string_view>

namespace octet::lowering {

/// The operator that TFLite has for what octet does not write: "ARG_MAX" of "argmax"; empty where TFLite has none.
std::string_view unwritten_builtin(std::string_view short_name);

}  // namespace octet::lowering
