#pragma once

#include <unordered_map>

#include "octet/graph/graph_module.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program.h"

namespace octet::lowering {

/// The values of a quantized program that are int8, with their grids; the others are float32. An operator is int8 where
/// everything that it reads is, and every reader of its result takes it through a quantize, views and activations
/// looked through: those are computed with it.
std::unordered_map<const Node*, Grid> int8_values(const GraphModule& module, const LoweringOptions& options);

}  // namespace octet::lowering
