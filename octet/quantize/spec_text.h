#pragma once

#include <c10/core/QScheme.h>

#include <string>

namespace octet {

/// "per_tensor_affine"
std::string qscheme_text(at::QScheme qscheme);
/// The reverse; throws octet::Error for an unknown name.
at::QScheme qscheme_from_text(const std::string& text);

}  // namespace octet
