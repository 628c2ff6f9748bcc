#pragma once

#include "octet/formats/tflite.h"

namespace octet::tflite {

/// The lowest version of the operator that has what this one uses: a runtime refuses a version above its own.
int32_t lowest_version(const Model& model, const Operator& op);

}  // namespace octet::tflite
