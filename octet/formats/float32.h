#pragma once

#include <ATen/core/ScalarType.h>

#include <set>
#include <string>

#include "octet/graph/graph_module.h"

namespace octet {

/// What octet quantizes is float32. Where inputs or parameters are float64, bfloat16 or float16, they, buffers and
/// every value of such a type become float32, casts among them included, and one line of the log says so, naming
/// `file`; `beside`: more types of values to convert, those of autocast. Numbers beyond float32's range become its
/// ends.
void convert_to_float32(GraphModule& module, std::set<at::ScalarType> beside, const std::string& file);

}  // namespace octet
