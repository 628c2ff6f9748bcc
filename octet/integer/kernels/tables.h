#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "octet/integer/kernel.h"
#include "octet/integer/parts.h"

namespace octet::integer {

inline void clip(const int8_t* __restrict x, int64_t count, int8_t low, int8_t high, int8_t* __restrict y) {
  for (int64_t i = 0; i < count; ++i) y[i] = std::min(std::max(x[i], low), high);
}

/// Kernel of an int8 function of one int8 number: its 256 answers are worked out beforehand. function(level) -> int8.
/// One that only clips, a ReLU on its input's grid, runs in registers.
template <typename Function>
Kernel make_of_one(const KernelContext& context, Function function) {
  const tflite::Tensor& input = context.input(0);
  context.require_type(input, tflite::Type::kInt8);
  context.require_type(context.output(), tflite::Type::kInt8);
  context.require_same_shape(input, context.output());
  std::array<int8_t, 256> table;
  for (int32_t level = -128; level <= 127; ++level) table[static_cast<uint8_t>(level)] = function(level);
  const int64_t count = input.numel();
  const auto [low, high] = std::minmax_element(table.begin(), table.end());
  const int8_t lowest = *low, highest = *high;
  bool only_clips = true;
  for (int32_t level = -128; level <= 127; ++level) {
    only_clips = only_clips && table[static_cast<uint8_t>(level)] == std::clamp<int32_t>(level, lowest, highest);
  }
  constexpr int64_t kOperations = 16;  // that a number takes as long as
  if (only_clips) {
    return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) {
      for_parts(count, count,
                [&](int64_t begin, int64_t end) { clip(x + begin, end - begin, lowest, highest, y + begin); });
    });
  }
  return make_from_to<int8_t, int8_t>(
      context, [=, look_up = path_ops(context.path).look_up](const int8_t* x, int8_t* y) {
        for_parts(count, count * kOperations,
                  [&](int64_t begin, int64_t end) { look_up(table.data(), x + begin, y + begin, end - begin); });
      });
}

}  // namespace octet::integer
