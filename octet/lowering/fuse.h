#pragma once

#include "octet/lowering/program.h"

namespace octet::lowering {

/// An activation that alone reads an operator's result, on the same grid, is computed by that operator: the same bits.
void fuse_activations(Program& program);
/// A padding that is SAME for the convolution or the largest of a pool behind it is computed with that.
void fuse_paddings(Program& program);

}  // namespace octet::lowering
