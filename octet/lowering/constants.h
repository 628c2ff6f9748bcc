#pragma once

#include <optional>

#include "octet/graph/graph_module.h"
#include "octet/lowering/program.h"

namespace octet::lowering {

/// The constant that a node stands for: the integers behind its dequantize, with their grid, through permutations and
/// views; whole numbers and bool as they are, float32 for others. nullopt where the node depends on an input.
std::optional<Constant> constant_of(const GraphModule& module, const Node& node);

/// Numbers on a grid, rounded to it.
Constant quantized(const at::Tensor& values, const Grid& grid);

/// The constant in float32.
at::Tensor dequantized(const Constant& constant);

/// The constant with its axes in another order, its scales' axis with it.
Constant permuted(const Constant& constant, const std::vector<int64_t>& order);

}  // namespace octet::lowering
