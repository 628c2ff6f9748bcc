#pragma once

#include <array>
#include <cstdint>

#include "octet/integer/kernel.h"

namespace octet::integer {

/// Kernel of an int8 function of one int8 number: its 256 answers are worked out beforehand. function(level) -> int8.
template <typename Function>
Kernel make_of_one(const KernelContext& context, Function function) {
  const tflite::Tensor& input = context.input(0);
  context.require_type(input, tflite::Type::kInt8);
  context.require_type(context.output(), tflite::Type::kInt8);
  context.require_same_shape(input, context.output());
  std::array<int8_t, 256> table;
  for (int32_t level = -128; level <= 127; ++level) table[static_cast<uint8_t>(level)] = function(level);
  const int64_t count = input.numel();
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) {
    for (int64_t i = 0; i < count; ++i) y[i] = table[static_cast<uint8_t>(x[i])];
  });
}

}  // namespace octet::integer
