#pragma once

/// The arithmetic of a fake quantizer, an element at a time, for loops that are compiled once an instruction set
/// (multi_isa.h): y = (clip(rint(x * inverse) + zero_point, low, high) - zero_point) * scale. NaN passes through, as it
/// does in ATen's clamp.
namespace octet {

/// rint(x * inverse) + zero_point, before it is clipped.
[[gnu::always_inline]] inline float level_of(float x, float inverse, float zero_point) {
  return __builtin_rintf(x * inverse) + zero_point;
}

[[gnu::always_inline]] inline float clipped(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

/// The value of a level, clipped to [low, high].
[[gnu::always_inline]] inline float value_of(float level, float low, float high, float zero_point, float scale) {
  return (clipped(level, low, high) - zero_point) * scale;
}

}  // namespace octet
