#pragma once

#include "octet/targets/engine/target.h"
#include "octet/targets/qnn/qconfig.h"

namespace octet::qnn {

/// Qualcomm's HTP through QNN as a target: modes "8a8w-per-tensor", "8a8w-per-channel", ..., "qat-8a8w-per-channel".
targets::Target target();

/// The rewrites of the float graph before annotation.
std::vector<targets::Pass> passes(QuantizationMode mode);

}  // namespace octet::qnn
