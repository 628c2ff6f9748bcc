#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "octet/graph/graph_module.h"

namespace octet::targets {

/// Largest groups of supported nodes that can be computed as one, each: no path leaves a group and comes back. Greedy
/// in reverse graph order, as torch.fx's CapabilityBasedPartitioner does it: a node joins the groups behind it, and
/// whatever independent groups can be joined are. Returns the group of every supported node, numbered in graph order
/// from 0.
std::unordered_map<const Node*, int64_t> partition(const Graph& graph,
                                                   const std::function<bool(const Node&)>& is_supported);

}  // namespace octet::targets
