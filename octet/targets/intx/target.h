#pragma once

#include "octet/targets/engine/target.h"
#include "octet/targets/intx/config.h"

namespace octet::intx {

/// Weights of 1 to 8 bits by torchao's quantize_, alone or with dynamic activations: target `intx`. Its modes are named
/// as mode_name() says; those that stand in the list are examples, all others of the form serve too.
OCTET_API targets::Target target();

}  // namespace octet::intx
