#pragma once

#include <string>

#include "octet/support/api.h"

namespace octet::targets {

/// What ruins accuracy without an error.
struct Warning {
  std::string where;
  std::string text;
  std::string way_out;
};

/// "[conv2d 'c'] text; way out"
OCTET_API std::string text(const Warning& warning);

}  // namespace octet::targets
