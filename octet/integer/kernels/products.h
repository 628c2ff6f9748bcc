#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "octet/integer/fixed_point.h"
#include "octet/integer/kernel.h"

namespace octet::integer {

/// From the accumulator of a product with weights to int8: bias, the channel's multiplier, zero point, bounds.
class Requantizer {
 public:
  /// Inputs of the operator: the image (or matrix), the weight at 1, the bias where there is one. `rounds_once`: as
  /// FULLY_CONNECTED, where the reference scales in 64 bits and rounds once.
  Requantizer(const KernelContext& context, int64_t channels, size_t image = 0, size_t bias = 2,
              bool rounds_once = false);

  /// The same for a path's sums of w * (packed x), which have `depth` products: the sums of each channel's weights make
  /// up for the zero point of the input and for what packing added. With `magnitudes`, the sums of their absolute
  /// values, and nothing else added, the table may be a quick one.
  Requantization table(const std::vector<int32_t>& weight_sums, int32_t shift, int64_t depth,
                       const std::vector<int64_t>& magnitudes = {}) const;

  int64_t channels() const { return static_cast<int64_t>(multipliers_.size()); }
  int32_t bias(int64_t channel) const { return bias_[static_cast<size_t>(channel)]; }
  int8_t operator()(int32_t sum, int64_t channel) const {
    const auto c = static_cast<size_t>(channel);
    const int32_t biased = wrapping_add(sum, bias_[c]);
    const int32_t scaled =
        rounds_once_ ? multiply_rounding_once(biased, multipliers_[c]) : multiply(biased, multipliers_[c]);
    return clamp_int8(wrapping_add(scaled, zero_point_), bounds_.low, bounds_.high);
  }

 private:
  std::vector<Multiplier> multipliers_;
  std::vector<int32_t> bias_;
  int32_t zero_point_;
  Bounds bounds_;
  bool rounds_once_;
};

/// A factor and what is added behind it, as Requantization has them for paths that scale in float.
struct QuickFactor {
  float scale, above, below;
};
QuickFactor quick_factor(Multiplier factor, int32_t zero_point, bool rounds_once = false);
/// Largest scaled sum for which it does.
inline constexpr double kMostScaled = 32000.0;

/// Tables of `channels` channels, all alike but for the offsets, which are 0.
Requantization uniform_requantization(Multiplier factor, int64_t channels, int32_t zero_point);

/// The constant int8 weights at input 1. Throws octet::Error where they are computed.
const int8_t* constant_weights(const KernelContext& context);

/// Throws octet::Error where a sum leaves int32.
void check_sum(int64_t sum, const std::string& where);
}  // namespace octet::integer
