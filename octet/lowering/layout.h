#pragma once

#include <unordered_set>

#include "octet/graph/graph_module.h"

namespace octet::lowering {

/// The values that the program keeps with their channels innermost, from NCHW to NHWC: what convolutions, 2-D pools and
/// resizes read and write, and what passes unchanged through operators that know no layout. Operators that no rule
/// knows stop it, as do views, permutations and reductions that drop dimensions. Shapes must be known.
std::unordered_set<const Node*> channels_first_values(const Graph& graph);

/// NCHW to NHWC, for any number of dimensions: 0, 2, 3, ..., 1.
std::vector<int64_t> to_channels_last(size_t rank);
/// The way back: 0, last, 1, 2, ...
std::vector<int64_t> to_channels_first(size_t rank);
/// Sizes in another order of axes.
std::vector<int64_t> reordered(const std::vector<int64_t>& sizes, const std::vector<int64_t>& order);

}  // namespace octet::lowering
