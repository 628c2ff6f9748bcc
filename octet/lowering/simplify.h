#pragma once

#include "octet/formats/tflite.h"
#include "octet/lowering/lowering.h"

namespace octet::lowering {

/// The program without what it does in vain: transpositions that meet, cancel out or move nothing, and steps that
/// nobody reads; a FULLY_CONNECTED behind a flattened image reads it as it lies, its weights reordered instead. Unless
/// plain: constants transposed beforehand, and activations computed with the operator before them. Tensors are
/// renumbered, operators get their lowest version.
tflite::Model simplified(tflite::Model model, const LoweringOptions& options);

}  // namespace octet::lowering
