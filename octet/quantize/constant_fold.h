#pragma once

#include <unordered_set>

#include "octet/graph/graph_module.h"

namespace octet {

/// The nodes whose value is the same in every run: tensors of the module that the program does not write, and what is
/// computed from such alone. Random ops, those that write, and dequantizes are none.
std::unordered_set<const Node*> constant_nodes(const Graph& graph);

/// Computes every quantize whose input comes from parameters alone, and puts the integers in its place as a buffer
/// `_frozen_paramN`: a weight, also one that is transposed on its way. Dequantizes, random ops and values that the
/// model itself writes are never folded. Returns how many were.
size_t fold_constant_quantizes(GraphModule& module);

}  // namespace octet
