#pragma once

#include <unordered_set>

#include "octet/graph/graph_module.h"

namespace octet::neutron {

/// The values that the lowering keeps with their channels innermost, from NCHW to NHWC: what convolutions, 2-D pools
/// and resizes read and write, and what passes unchanged through operators that know no layout. Operators that no rule
/// knows stop it, as do views, permutations and reductions that drop dimensions.
std::unordered_set<const Node*> channels_first_values(const Graph& graph);

}  // namespace octet::neutron
