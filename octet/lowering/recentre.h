#pragma once

#include "octet/graph/graph_module.h"

namespace octet::lowering {

/// True where an operator that has a kernel of int8 alone reads, or gives, values on a grid of uint8. What only moves
/// them takes any type.
bool computes_in_uint8(const GraphModule& converted);

/// Every grid of uint8 in int8, to the bit: levels, zero points and ranges less 128, constants with them. What the
/// program computes in float stays as it is.
void recentre_uint8(GraphModule& converted);

}  // namespace octet::lowering
