#pragma once

#include <cstdint>
#include <string>

#include "octet/support/api.h"

namespace octet {

/// "3.4 MB": powers of 1000.
OCTET_API std::string bytes_text(int64_t bytes);

}  // namespace octet
