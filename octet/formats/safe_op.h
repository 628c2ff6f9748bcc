#pragma once

#include <string>

#include "octet/graph/op.h"

namespace octet {

/// The operator that a file names. Throws octet::Error naming `where` for one that this libtorch lacks, and for those
/// that no model needs and that let a hostile file reach files or memory when it runs.
Op find_safe_op(const std::string& text, const std::string& where);

}  // namespace octet
