#pragma once

#include "octet/graph/graph_module.h"

namespace octet {

/// True for a node that reads only parameters and constants, through a few steps.
bool is_constant_value(const Node& node);
/// The value of such a node; undefined for others.
at::Tensor constant_value(const GraphModule& module, const Node& node);

}  // namespace octet
