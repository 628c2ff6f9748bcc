#pragma once

#include <vector>

#include "octet/formats/tflite.h"
#include "octet/integer/kernel.h"

namespace octet::integer {

/// What the executor does at a time.
struct Step {
  tflite::Operator op;
  Frame frame;  ///< around its first input
};

/// The program's operators, in order, but for a PAD whose readers are windows that can frame their image themselves: it
/// is left out, and they read what it reads. Same values: it pads with the zero point, as they do.
std::vector<Step> steps_of(const tflite::Model& model);

/// The program's tensors and the steps' operators alone, as a plan of memory needs them: without constants' bytes.
tflite::Model outline(const tflite::Model& model, const std::vector<Step>& steps);

}  // namespace octet::integer
