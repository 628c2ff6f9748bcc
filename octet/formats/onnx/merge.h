#pragma once

#include "octet/graph/graph_module.h"

namespace octet::onnx {

/// Puts together what exporters to ONNX take apart, since it had no operator for it: silu, hardswish, mish, gelu,
/// layer and group norms, attention, a linear layer's bias; and drops moves that undo one another. The same values up
/// to rounding. What does not fit stays. Returns how many were.
size_t merge_patterns(GraphModule& module);

}  // namespace octet::onnx
