#pragma once

#include "octet/targets/engine/target.h"

namespace octet::coreml {

/// Apple's Core ML, by coremltools' CoreMLQuantizer: modes static and of training, symmetric and affine, and weights
/// alone.
targets::Target target();

}  // namespace octet::coreml
