#pragma once

#include <cstdint>

#include "octet/formats/tflite.h"
#include "octet/support/api.h"

namespace octet::integer {

/// True where the program consists of FULLY_CONNECTED layers of int8 and of what works element by element between them:
/// rows of dimension 0 know nothing of each other, and several at a time read the weights once.
OCTET_API bool works_by_rows(const tflite::Model& model);

/// The program for `times` as many rows at once; `works_by_rows` must hold.
OCTET_API tflite::Model with_rows(const tflite::Model& model, int64_t times);

}  // namespace octet::integer
