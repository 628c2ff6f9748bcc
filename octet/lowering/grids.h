#pragma once

#include <unordered_map>

#include "octet/graph/graph_module.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program.h"

namespace octet::lowering {

/// The values of a quantized program that are integers, with their grids; the others are float32. An operator computes
/// in integers where everything that it reads is on a grid, and every reader of its result takes it through a quantize,
/// views and activations looked through: those are computed with it. Throws octet::Error for a range that TFLite cannot
/// say: one that leaves more of its type out than the lowest level.
std::unordered_map<const Node*, Grid> values_on_grids(const GraphModule& module, const LoweringOptions& options);

}  // namespace octet::lowering
