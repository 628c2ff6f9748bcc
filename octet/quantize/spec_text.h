#pragma once

#include <c10/core/QScheme.h>

#include <string>

#include "octet/support/api.h"

namespace octet {

/// "per_tensor_affine"
OCTET_API std::string qscheme_text(at::QScheme qscheme);
/// The reverse; throws octet::Error for an unknown name.
OCTET_API at::QScheme qscheme_from_text(const std::string& text);

}  // namespace octet
