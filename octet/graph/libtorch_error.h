#pragma once

#include <exception>
#include <string>

#include "octet/support/api.h"

namespace octet {

/// What an exception says, of libtorch's own without the backtrace.
OCTET_API std::string plain_message(const std::exception& error);

}  // namespace octet
