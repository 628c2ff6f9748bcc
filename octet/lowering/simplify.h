#pragma once

#include "octet/lowering/lowering.h"
#include "octet/lowering/program.h"

namespace octet::lowering {

/// Takes out what the program does in vain: transpositions that meet, cancel out or move nothing, and steps that nobody
/// reads; a FULLY_CONNECTED behind a flattened image reads it as it lies, its weights reordered instead. Unless plain:
/// constants transposed beforehand, and activations computed with the operator before them.
void simplify(Program& program, const LoweringOptions& options);

}  // namespace octet::lowering
