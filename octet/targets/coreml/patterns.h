#pragma once

#include "octet/targets/engine/pattern.h"

namespace octet::coreml {

/// The patterns of coremltools' CoreMLQuantizer in its order: weighted operators with one of fifteen activations,
/// alone, with a BatchNorm; add, mul and matmul; what passes a grid on. `finds_pools`: false leaves pools, mean and
/// flatten in float, as the reference does with a default export.
targets::PatternTable patterns(bool finds_pools);

}  // namespace octet::coreml
