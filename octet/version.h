#pragma once

#include "octet/support/api.h"

namespace octet {

/// "0.1.0"
OCTET_API const char* version();
/// The libtorch that octet was built with: "2.13.0".
OCTET_API const char* torch_version();

}  // namespace octet
