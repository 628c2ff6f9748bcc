#pragma once

#include "octet/graph/graph_module.h"

namespace octet::targets {

/// True where a value may be infinite or no number for finite inputs (a quotient, a logarithm, what was hidden by
/// -inf): times 0 that is none, and a mask in front of a softmax adds to it.
bool may_be_infinite(const GraphModule& module, const Node* value);

}  // namespace octet::targets
