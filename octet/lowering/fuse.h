#pragma once

#include "octet/formats/tflite.h"

namespace octet::lowering {

/// An activation that alone reads an operator's result, on the same grid, is computed by that operator: the same bits.
/// The activation stays, unread.
void fuse_activations(tflite::Model& model);

}  // namespace octet::lowering
