#pragma once

#include "octet/support/api.h"

namespace octet {

/// True where the plain formula runs instead of a fused kernel: OCTET_REFERENCE=1 in the environment, or between
/// set_reference_path(true) and set_reference_path(false).
OCTET_API bool reference_path();
/// Overrides the environment, for tests and debugging.
OCTET_API void set_reference_path(bool on);

}  // namespace octet
