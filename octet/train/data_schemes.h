#pragma once

#include "octet/support/api.h"

namespace octet {

/// The names that open_data() takes, in a line, for help texts.
OCTET_API const char* data_scheme_help();

}  // namespace octet
