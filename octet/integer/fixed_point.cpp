#include "octet/integer/fixed_point.h"

#include <algorithm>
#include <cmath>

#include "octet/support/error.h"

namespace octet::integer {

Multiplier quantize_multiplier(double factor) {
  if (!(factor >= 0.0) || !std::isfinite(factor)) {
    throw expected("fixed point", "factor", "a finite number of at least 0", std::to_string(factor));
  }
  if (factor == 0.0) return {};
  int shift = 0;
  const double fraction = std::frexp(factor, &shift);
  auto value = static_cast<int64_t>(std::round(fraction * static_cast<double>(int64_t{1} << 31)));
  if (value == int64_t{1} << 31) {
    value /= 2;
    ++shift;
  }
  if (shift < -31) return {};
  if (shift > 31) throw expected("fixed point", "factor", "below 2^31", std::to_string(factor));
  return {static_cast<int32_t>(value), shift};
}

int32_t wide_level(float value, float scale, int32_t zero_point) {
  constexpr double kMost = 1 << 30;  // as good as infinite, and a zero point can be added
  const auto level = static_cast<double>(std::round(value / scale));
  return static_cast<int32_t>(std::min(std::max(level, -kMost), kMost)) + zero_point;
}

int32_t bounded_level(float value, float scale, int32_t zero_point, Bounds bounds) {
  const float level = std::round(value / scale) + static_cast<float>(zero_point);
  if (std::isnan(level)) return zero_point;
  return static_cast<int32_t>(
      std::min(std::max(level, static_cast<float>(bounds.low)), static_cast<float>(bounds.high)));
}

int32_t input_radius(int integer_bits, int left_shift, int total_signed_bits) {
  const double largest = static_cast<double>((1 << integer_bits) - 1) *
                         static_cast<double>(int64_t{1} << (total_signed_bits - integer_bits)) /
                         static_cast<double>(int64_t{1} << left_shift);
  return static_cast<int32_t>(std::floor(largest));
}

}  // namespace octet::integer
