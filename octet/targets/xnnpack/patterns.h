#pragma once

#include "octet/targets/engine/pattern.h"

namespace octet::xnnpack {

/// The sixteen patterns of ExecuTorch's XNNPACKQuantizer and its propagation. `reference_quirks`: in dynamic modes a
/// convolution with a relu stays in float, and in training a BatchNorm joins convolutions in one and two dimensions
/// with numbers for padding alone; else a relu hinders nothing, and a BatchNorm joins every product that can be trained
/// so.
targets::PatternTable patterns(bool reference_quirks);

}  // namespace octet::xnnpack
