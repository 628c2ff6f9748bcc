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

  int64_t channels() const { return static_cast<int64_t>(multipliers_.size()); }
  int32_t bias(int64_t channel) const { return bias_[static_cast<size_t>(channel)]; }
  int8_t operator()(int32_t sum, int64_t channel) const {
    const auto c = static_cast<size_t>(channel);
    const auto biased = static_cast<int32_t>(static_cast<uint32_t>(sum) + static_cast<uint32_t>(bias_[c]));
    const int32_t scaled =
        rounds_once_ ? multiply_rounding_once(biased, multipliers_[c]) : multiply(biased, multipliers_[c]);
    return clamp_int8(scaled + zero_point_, bounds_.low, bounds_.high);
  }

 private:
  std::vector<Multiplier> multipliers_;
  std::vector<int32_t> bias_;
  int32_t zero_point_;
  Bounds bounds_;
  bool rounds_once_;
};

/// sum w * (x - z) from sum w * x: the sum of each channel's weights is known beforehand.
class WeightSums {
 public:
  WeightSums(const KernelContext& context, int64_t channels);
  int32_t centered(int32_t sum, int64_t channel, int32_t zero_point) const {
    const auto shift = static_cast<uint32_t>(zero_point) * static_cast<uint32_t>(sums_[static_cast<size_t>(channel)]);
    return static_cast<int32_t>(static_cast<uint32_t>(sum) - shift);
  }

 private:
  std::vector<int32_t> sums_;
};

/// Throws octet::Error where a sum leaves int32.
void check_sum(int64_t sum, const std::string& where);
/// The same for sum w * (x - z) + bias, also on the way.
void check_accumulator(const int8_t* x, const int8_t* weight, int64_t count, int32_t zero_point, int32_t bias,
                       const std::string& where);

}  // namespace octet::integer
