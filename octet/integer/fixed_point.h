#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace octet::integer {

/// A real factor as the integer machines hold it: multiplier * 2^(shift - 31), |multiplier| in [2^30, 2^31).
struct Multiplier {
  int32_t value = 0;
  int shift = 0;
};

/// The real number that it stands for.
inline double real_factor(Multiplier factor) {
  return std::ldexp(static_cast<double>(factor.value), factor.shift - 31);
}

/// Bounds of an integer value.
struct Bounds {
  int32_t low = -128;
  int32_t high = 127;
};
/// All values of a type.
template <typename Level>
constexpr Bounds bounds_of() {
  return {std::numeric_limits<Level>::min(), std::numeric_limits<Level>::max()};
}

/// The nearest such factor, halves away from zero; below 2^-31 it is 0. Throws octet::Error for a negative, infinite or
/// too large number.
Multiplier quantize_multiplier(double factor);

/// Sum modulo 2^32, as the machines have it.
inline int32_t wrapping_add(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

/// round(a * b / 2^31), halves up, INT_MIN * INT_MIN saturated.
inline int32_t doubling_high_multiply(int32_t a, int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
  return static_cast<int32_t>((static_cast<int64_t>(a) * b + (int64_t{1} << 30)) >> 31);
}

/// round(x / 2^exponent), halves away from zero.
inline int32_t rounding_divide_by_power(int32_t x, int exponent) {
  const int32_t mask = static_cast<int32_t>((int64_t{1} << exponent) - 1);
  const int32_t remainder = x & mask;
  const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/// x times the factor, rounded twice as TFLite's reference kernels do by default.
inline int32_t multiply(int32_t x, Multiplier factor) {
  const int left = factor.shift > 0 ? factor.shift : 0;
  const int right = factor.shift > 0 ? 0 : -factor.shift;
  // Shifted as unsigned: what leaves int32 wraps, as on the machines.
  const auto shifted = static_cast<int32_t>(static_cast<uint32_t>(x) << left);
  return rounding_divide_by_power(doubling_high_multiply(shifted, factor.value), right);
}

/// x times the factor, rounded once, halves up. The factor is below 2^30.
inline int32_t multiply_rounding_once(int32_t x, Multiplier factor) {
  const int64_t half = int64_t{1} << (30 - factor.shift);
  return static_cast<int32_t>((static_cast<int64_t>(x) * factor.value + half) >> (31 - factor.shift));
}

/// The last integer that stays below 2^integer_bits once it was rescaled by `left_shift`: beyond it saturating
/// functions are constant.
int32_t input_radius(int integer_bits, int left_shift, int total_signed_bits = 31);

inline int8_t clamp_int8(int32_t x, int32_t low = -128, int32_t high = 127) {
  return static_cast<int8_t>(x < low ? low : x > high ? high : x);
}

/// round(value / scale) + zero_point, not bounded to int8; far beyond it the result is the largest that int32 holds.
int32_t wide_level(float value, float scale, int32_t zero_point);

/// The level of a real number within the bounds, halves away from zero; a NaN is the zero point.
int32_t bounded_level(float value, float scale, int32_t zero_point, Bounds bounds);
/// Within those of its type.
template <typename Level>
Level quantize_level(float value, float scale, int32_t zero_point) {
  return static_cast<Level>(bounded_level(value, scale, zero_point, bounds_of<Level>()));
}
inline float dequantize_level(int32_t level, float scale, int32_t zero_point) {
  return scale * static_cast<float>(level - zero_point);
}

}  // namespace octet::integer
