#pragma once

#include "octet/support/api.h"
#include "octet/targets/engine/registry.h"

namespace octet {

/// The targets that octet ships; the first is the one where nobody names another.
OCTET_API const targets::Registry& all_targets();

}  // namespace octet
