#pragma once

#include <cstddef>
#include <vector>

#include "octet/formats/tflite.h"

namespace octet::integer {

/// A program whose operators compute nothing that is known before it runs.
struct Folded {
  tflite::Model program;
  std::vector<size_t> kept;  ///< the operators that are left, by their places in the program as it was
};

/// Computes beforehand what depends on constants and shapes alone (a weight that is transposed in the program, weights
/// of float16 behind a DEQUANTIZE, SHAPE), and gives operators that compute in float their constants in float: the
/// levels of a hybrid file's weights become the numbers that they stand for. Throws octet::Error for a program that
/// contradicts itself, or whose constants would take endless memory.
Folded folded(tflite::Model model);

}  // namespace octet::integer
