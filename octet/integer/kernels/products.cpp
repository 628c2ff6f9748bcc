#include "octet/integer/kernels/products.h"

#include <cmath>
#include <cstring>

#include "octet/support/error.h"

namespace octet::integer {

using tflite::Tensor;
using tflite::Type;

Requantizer::Requantizer(const KernelContext& context, int64_t channels, size_t image, size_t bias, bool rounds_once)
    : bias_(static_cast<size_t>(channels), 0),
      bounds_(activation_bounds(context, context.op.options.activation)),
      rounds_once_(rounds_once) {
  const Tensor& weight = context.input(1);
  const Tensor& output = context.output();
  zero_point_ = context.zero_point(output);
  const auto& scales = weight.quantization.scale;
  if (scales.size() != 1 && static_cast<int64_t>(scales.size()) != channels) {
    context.fail("scales of the weight", octet::str("1 or ", channels), std::to_string(scales.size()));
  }
  for (const int64_t point : weight.quantization.zero_point) {
    if (point != 0) context.fail("zero point of the weight", "0", std::to_string(point));
  }
  const float in = context.scale(context.input(image));
  const auto out = static_cast<double>(context.scale(output));
  for (int64_t c = 0; c < channels; ++c) {
    const float scale = scales[scales.size() == 1 ? 0 : static_cast<size_t>(c)];
    const double product = static_cast<double>(in) * static_cast<double>(scale);
    multipliers_.push_back(quantize_multiplier(product / out));
    if (multipliers_.back().shift > 30) context.fail("scales", "a factor below 2^30", octet::str(product / out));
  }
  if (!context.has_input(bias)) return;
  const Tensor& stored = context.input(bias);
  context.require_type(stored, Type::kInt32);
  if (!stored.is_constant) context.fail("bias", "a constant", "a computed value");
  if (stored.numel() != channels) {
    context.fail("biases", std::to_string(channels), std::to_string(stored.numel()));
  }
  std::memcpy(bias_.data(), stored.data.data(), stored.data.size());
}

namespace {

Requantization empty_tables(int64_t channels) {
  const auto size = static_cast<size_t>((channels + kStrip - 1) / kStrip * kStrip);
  Requantization how;
  for (auto* table : {&how.offset, &how.multiplier, &how.left, &how.right}) table->assign(size, 0);
  return how;
}

void set_factor(Requantization& how, size_t channel, Multiplier factor) {
  how.multiplier[channel] = factor.value;
  how.left[channel] = !how.rounds_once && factor.shift > 0 ? factor.shift : 0;
  how.right[channel] = how.rounds_once ? 31 - factor.shift : factor.shift > 0 ? 0 : -factor.shift;
}

// Finds out whether sums of `depth` products leave room; fills the tables that this takes.
void make_tame(Requantization& how, int64_t channels, int64_t depth) {
  constexpr int64_t kMost = int64_t{1} << 30;
  if (how.rounds_once || depth > kMost / (255 * 128)) return;
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    const int64_t offset = std::abs(static_cast<int64_t>(how.offset[c]));
    if (offset + depth * 255 * 128 >= kMost || how.left[c] != 0 || how.right[c] == 0) return;
  }
  how.is_tame = true;
  how.half.assign(how.right.size(), 0);
  for (size_t c = 0; c < how.half.size(); ++c) how.half[c] = how.right[c] == 0 ? 0 : 1 << (how.right[c] - 1);
}

// Finds out whether float does: sums that stay within int32, and scaled within int16. Fills its tables.
void make_quick(Requantization& how, const std::vector<Multiplier>& factors, const std::vector<int32_t>& bias,
                const std::vector<int64_t>& magnitudes) {
  constexpr double kMostSum = 2147483647.0;
  constexpr int64_t kMostInput = 255;  // of x less its zero point
  const size_t size = how.offset.size();
  LineVector<float> scale(size, 0.0F), above(size, 32768.0F), below(size, 32768.0F);
  for (size_t c = 0; c < magnitudes.size(); ++c) {
    const double most = std::abs(static_cast<double>(bias[c])) + static_cast<double>(kMostInput * magnitudes[c]);
    if (most > kMostSum || most * real_factor(factors[c]) > kMostScaled) return;
    const QuickFactor quick = quick_factor(factors[c], how.zero_point, how.rounds_once);
    scale[c] = quick.scale;
    above[c] = quick.above;
    below[c] = quick.below;
  }
  how.is_quick = true;
  how.is_positive = how.low >= how.zero_point;
  how.scale = std::move(scale);
  how.above = std::move(above);
  how.below = std::move(below);
}

}  // namespace

Requantization Requantizer::table(const std::vector<int32_t>& weight_sums, int32_t shift, int64_t depth,
                                  const std::vector<int64_t>& magnitudes) const {
  Requantization how = empty_tables(channels());
  how.zero_point = zero_point_;
  how.low = bounds_.low;
  how.high = bounds_.high;
  how.rounds_once = rounds_once_;
  for (size_t c = 0; c < multipliers_.size(); ++c) {
    const uint32_t centre = static_cast<uint32_t>(shift) * static_cast<uint32_t>(weight_sums[c]);
    how.offset[c] = static_cast<int32_t>(static_cast<uint32_t>(bias_[c]) - centre);
    set_factor(how, c, multipliers_[c]);
  }
  if (rounds_once_) std::fill(how.right.begin() + channels(), how.right.end(), 31);
  make_tame(how, channels(), depth);
  if (!magnitudes.empty()) make_quick(how, multipliers_, bias_, magnitudes);
  return how;
}

// Rounding twice moves the half by which the second one rounds: by half a step of what the first one keeps.
QuickFactor quick_factor(Multiplier factor, int32_t zero_point, bool rounds_once) {
  constexpr double kUnit = 65536.0;
  const double moved = rounds_once || factor.shift >= 0 ? 0.0 : std::ldexp(kUnit, factor.shift - 1);
  const double added = kUnit * zero_point + kUnit / 2 + kDoubt;
  return {static_cast<float>(real_factor(factor) * kUnit), static_cast<float>(added + moved),
          static_cast<float>(added - moved)};
}

Requantization uniform_requantization(Multiplier factor, int64_t channels, int32_t zero_point) {
  Requantization how = empty_tables(channels);
  how.zero_point = zero_point;
  for (size_t c = 0; c < how.offset.size(); ++c) set_factor(how, c, factor);
  return how;
}

const int8_t* constant_weights(const KernelContext& context) {
  const Tensor& weight = context.input(1);
  if (!weight.is_constant) context.fail("weight", "a constant", "a computed value");
  return reinterpret_cast<const int8_t*>(weight.data.data());
}

void check_sum(int64_t sum, const std::string& where) {
  if (sum >= INT32_MIN && sum <= INT32_MAX) return;
  throw expected(where, "accumulator", "within int32", std::to_string(sum));
}

}  // namespace octet::integer
