#pragma once

#include "octet/targets/engine/target.h"

namespace octet::xnnpack {

/// ExecuTorch's XNNPACK backend: CPUs of phones. Modes static per tensor and per channel, dynamic per channel, and the
/// training of static ones and of dynamic per channel.
targets::Target target();

}  // namespace octet::xnnpack
