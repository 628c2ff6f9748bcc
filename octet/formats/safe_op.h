#pragma once

#include <string>

#include "octet/graph/node.h"
#include "octet/graph/op.h"

namespace octet {

/// The operator that a file names. Throws octet::Error naming `where` for one that this libtorch lacks, and for those
/// that no model needs and that let a hostile file reach files or memory when it runs.
Op find_safe_op(const std::string& text, const std::string& where);

/// Refuses an input whose recorded shape, which example inputs are made of, asks for more than 16 GiB.
void check_input_size(const Node& input, const std::string& where);

}  // namespace octet
