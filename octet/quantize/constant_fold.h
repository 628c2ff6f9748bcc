#pragma once

#include "octet/graph/graph_module.h"

namespace octet {

/// Computes every quantize whose input comes from parameters alone, and puts the integers in its place as a buffer
/// `_frozen_paramN`: a weight, also one that is transposed on its way. Dequantizes, random ops and values that the
/// model itself writes are never folded. Returns how many were.
size_t fold_constant_quantizes(GraphModule& module);

}  // namespace octet
