// Functions of one int8 number, each as the reference kernel computes it, and SOFTMAX.

#include <gemmlowp/fixedpoint/fixedpoint.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "octet/integer/fixed_point.h"
#include "octet/integer/grid.h"
#include "octet/integer/kernels/tables.h"
#include "octet/support/error.h"

namespace octet::integer {
namespace {

using tflite::Tensor;
using tflite::Type;

struct Grids {
  float in_scale;
  int32_t in_zero;
  float out_scale;
  int32_t out_zero;
};

using Function = std::function<int8_t(int32_t level)>;

// Logistic and tanh in fixed point with 4 integer bits, constant beyond the largest number that these hold.
constexpr int kIntegerBits = 4;

template <typename Evaluate>
Function saturating(const Grids& grids, int out_bits, int32_t out_zero, Evaluate evaluate) {
  const double factor = static_cast<double>(grids.in_scale) * static_cast<double>(int64_t{1} << (31 - kIntegerBits));
  const Multiplier multiplier = quantize_multiplier(factor);
  const int32_t radius = input_radius(kIntegerBits, multiplier.shift);
  return [=](int32_t level) {
    const int32_t value = level - grids.in_zero;
    if (value <= -radius) return int8_t{-128};
    if (value >= radius) return int8_t{127};
    using Fixed = gemmlowp::FixedPoint<int32_t, kIntegerBits>;
    const int32_t result = evaluate(Fixed::FromRaw(multiply(value, multiplier))).raw();
    return clamp_int8(rounding_divide_by_power(result, 31 - out_bits) + out_zero);
  };
}

Function real(const Grids& grids, float (*function)(float, float lowest)) {
  const float inverse = 1.0F / grids.out_scale;
  const float lowest = static_cast<float>(-128 - grids.out_zero) * grids.out_scale;
  return [=](int32_t level) {
    const float value = grids.in_scale * static_cast<float>(level - grids.in_zero);
    const float scaled = std::round(function(value, lowest) * inverse);
    const float shifted = scaled + static_cast<float>(grids.out_zero);
    if (std::isnan(shifted)) return static_cast<int8_t>(grids.out_zero);  // 0 on a grid whose steps vanish
    return static_cast<int8_t>(std::min(std::max(shifted, -128.0F), 127.0F));
  };
}

Function absolute(const Grids& grids) {
  const bool rescales = grids.in_scale != grids.out_scale;
  const Multiplier factor = quantize_multiplier(static_cast<double>(grids.in_scale / grids.out_scale));
  return [=](int32_t level) {
    const int32_t value = std::abs(level - grids.in_zero);
    return clamp_int8(wrapping_add(rescales ? multiply(value, factor) : value, grids.out_zero));
  };
}

// 1 / sqrt(x) of a positive integer as a factor: Newton's iteration in fixed point.
Multiplier inverse_square_root(int32_t x) {
  if (x <= 1) return {INT32_MAX, 0};
  using Fixed3 = gemmlowp::FixedPoint<int32_t, 3>;
  using Fixed0 = gemmlowp::FixedPoint<int32_t, 0>;
  int right_shift = 11;
  while (x >= (1 << 29)) {
    x /= 4;
    ++right_shift;
  }
  const int free_bits = __builtin_clz(static_cast<uint32_t>(x)) - 1;
  const int pairs = free_bits / 2 - 1;  // x lies in [2^27, 2^29) afterwards
  right_shift -= pairs;
  x <<= 2 * pairs;
  const Fixed3 input = Fixed3::FromRaw(x >> 1);
  const Fixed3 half_input = gemmlowp::SaturatingRoundingMultiplyByPOT<-1>(input);
  const Fixed3 half_three = Fixed3::FromRaw((1 << 28) + (1 << 27));
  Fixed3 guess = Fixed3::One();
  for (int i = 0; i < 5; ++i) {
    const Fixed3 cube = gemmlowp::Rescale<3>(guess * guess * guess);
    guess = gemmlowp::Rescale<3>(half_three * guess - half_input * cube);
  }
  const Fixed0 half_root_of_two = Fixed0::FromRaw(1518500250);
  int32_t value = (guess * half_root_of_two).raw();
  if (right_shift < 0) {
    value <<= -right_shift;
    right_shift = 0;
  }
  return {value, -right_shift};
}

Function reciprocal_root(const Grids& grids) {
  constexpr int kShift = 20;  // keeps the root's fraction
  const auto scale =
      static_cast<float>(1.0 / (std::sqrt(static_cast<double>(grids.in_scale)) * static_cast<double>(grids.out_scale)));
  Multiplier factor = quantize_multiplier(static_cast<double>(scale));
  factor.shift -= kShift;
  if (factor.shift < -31) factor = {};
  return [=](int32_t level) {
    const int32_t value = level - grids.in_zero;
    if (value <= 0) return int8_t{127};  // as of a number close to 0
    Multiplier root = inverse_square_root(value);
    root.shift += kShift;
    return clamp_int8(wrapping_add(multiply(multiply(1, root), factor), grids.out_zero));
  };
}

// x * relu6(x + 3) / 6 in int16: x on a grid 128 times finer, the relu-like part on 3 / 2^15.
class HardSwish {
 public:
  explicit HardSwish(const Grids& grids) : grids_(grids) {
    const float fine = (1.0F / 128.0F) * grids.in_scale;
    output_ = quantize_multiplier(static_cast<double>(fine / grids.out_scale));
    relu_ = quantize_multiplier(static_cast<double>(fine / (3.0F / 32768.0F)));
  }

  // False where the output grid is too fine for int16 arithmetic.
  bool fits() const { return output_.shift <= 0; }

  int8_t operator()(int32_t level) const {
    const auto fine = static_cast<int16_t>((level - grids_.in_zero) * 128);
    const int16_t scaled = high(fine, half(output_));
    int16_t relu = fine;
    if (relu_.shift > 0) relu = shifted_left(relu, relu_.shift - 1);
    relu = high(relu, half(relu_));
    if (relu_.shift > 0) relu = shifted_left(relu, 1);
    if (relu_.shift < 0) relu = divided(relu, -relu_.shift);
    relu = static_cast<int16_t>((relu + (1 << 15)) >> 1);
    return clamp_int8(divided(high_truncated(relu, scaled), -output_.shift) + grids_.out_zero);
  }

 private:
  static int16_t half(Multiplier multiplier) {
    constexpr int32_t kRounding = 1 << 15;
    if (multiplier.value >= INT32_MAX - kRounding) return INT16_MAX;
    return static_cast<int16_t>((multiplier.value + kRounding) >> 16);
  }
  static int16_t high(int16_t a, int16_t b) { return gemmlowp::SaturatingRoundingDoublingHighMul(a, b); }
  static int16_t high_truncated(int16_t a, int16_t b) {
    if (a == INT16_MIN && b == INT16_MIN) return INT16_MAX;
    return static_cast<int16_t>(static_cast<int32_t>(a) * b / (1 << 15));
  }
  static int16_t shifted_left(int16_t x, int amount) {
    const int64_t wide = static_cast<int64_t>(x) * (int64_t{1} << amount);
    return static_cast<int16_t>(std::clamp<int64_t>(wide, INT16_MIN, INT16_MAX));
  }
  static int16_t divided(int16_t x, int exponent) {
    return static_cast<int16_t>(rounding_divide_by_power(x, exponent));
  }

  Grids grids_;
  Multiplier output_, relu_;
};

Grids grids_of(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  return {context.scale(input), context.zero_point(input), context.scale(output), context.zero_point(output)};
}

// The one grid that the reference's kernel gives its result on.
void require_result_grid(const KernelContext& context) {
  const Grid wanted = result_grid_of(context.op.code).value();
  const Tensor& output = context.output();
  if (context.scale(output) == wanted.scale && context.zero_point(output) == wanted.zero_point) return;
  context.fail("output grid", octet::str(wanted.scale, " zero point ", wanted.zero_point),
               octet::str(context.scale(output), " zero point ", context.zero_point(output)));
}

}  // namespace

Kernel make_logistic(const KernelContext& context) {
  const Grids grids = grids_of(context);
  require_result_grid(context);
  return make_of_one(context, real(grids, [](float x, float) { return 1.0F / (1.0F + std::exp(-x)); }));
}

Kernel make_tanh(const KernelContext& context) {
  const Grids grids = grids_of(context);
  require_result_grid(context);
  constexpr float kLeastScale = 1.0F / (1 << 27);  // a level is one of the fixed-point input's steps
  if (grids.in_scale < kLeastScale) context.fail("input scale", "at least 2^-27", octet::str(grids.in_scale));
  return make_of_one(context, saturating(grids, 7, 0, [](auto x) { return gemmlowp::tanh(x); }));
}

Kernel make_hard_swish(const KernelContext& context) {
  const Grids grids = grids_of(context);
  const HardSwish function(grids);
  if (!function.fits()) {
    context.fail("output scale", "at least input scale / 128", octet::str(grids.out_scale));
  }
  return make_of_one(context, function);
}

Kernel make_exp(const KernelContext& context) {
  return make_of_one(context, real(grids_of(context), [](float x, float) { return std::exp(x); }));
}

Kernel make_log(const KernelContext& context) {
  return make_of_one(context,
                     real(grids_of(context), [](float x, float lowest) { return x <= 0.0F ? lowest : std::log(x); }));
}

Kernel make_rsqrt(const KernelContext& context) { return make_of_one(context, reciprocal_root(grids_of(context))); }

Kernel make_abs(const KernelContext& context) { return make_of_one(context, absolute(grids_of(context))); }

Kernel make_softmax(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_type(input, Type::kInt8);
  context.require_type(output, Type::kInt8);
  context.require_same_shape(input, output);
  require_result_grid(context);
  if (input.shape.empty()) context.fail("dimensions", "at least 1", "0");
  constexpr int kDiffBits = 5;
  constexpr int kSumBits = 12;
  using Diff = gemmlowp::FixedPoint<int32_t, kDiffBits>;
  using Sum = gemmlowp::FixedPoint<int32_t, kSumBits>;
  using Unit = gemmlowp::FixedPoint<int32_t, 0>;
  const double factor =
      std::min(static_cast<double>(context.op.options.beta) * static_cast<double>(context.scale(input)) *
                   static_cast<double>(int64_t{1} << (31 - kDiffBits)),
               static_cast<double>((int64_t{1} << 31) - 1));
  const Multiplier multiplier = quantize_multiplier(factor);
  const int shift = multiplier.shift;
  if (shift < 0) context.fail("input scale", "above 2^-27", octet::str(context.scale(input)));
  const int32_t least = -input_radius(kDiffBits, shift);
  const int64_t depth = input.shape.back();
  const int64_t rows = depth == 0 ? 0 : input.numel() / depth;
  // exp of every difference to the row's largest that counts.
  std::array<int32_t, 256> exps{};
  std::array<int32_t, 256> parts{};
  for (int32_t diff = -255; diff <= 0; ++diff) {
    if (diff < least) continue;
    const auto wide = static_cast<int32_t>(static_cast<int64_t>(diff) * (int64_t{1} << shift));
    const Unit power = gemmlowp::exp_on_negative_values(Diff::FromRaw(doubling_high_multiply(wide, multiplier.value)));
    exps[static_cast<size_t>(-diff)] = power.raw();
    parts[static_cast<size_t>(-diff)] = gemmlowp::Rescale<kSumBits>(power).raw();
  }
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) {
    for (int64_t row = 0; row < rows; ++row, x += depth, y += depth) {
      int32_t largest = -128;
      for (int64_t i = 0; i < depth; ++i) largest = std::max<int32_t>(largest, x[i]);
      int64_t exact = 0;
      for (int64_t i = 0; i < depth; ++i) exact += parts[static_cast<size_t>(largest - x[i])];
      // From a sum of 512 on no class has half a step; the reference's shift is undefined there, its sum overflows
      // later.
      constexpr int64_t kNothingLeft = int64_t{512} << (31 - kSumBits);
      if (exact >= kNothingLeft) {
        std::fill(y, y + depth, int8_t{-128});
        continue;
      }
      const Sum sum = Sum::FromRaw(static_cast<int32_t>(exact));
      // 1 / sum, with the sum's leading bits as a number in [1, 2).
      const int headroom = __builtin_clz(static_cast<uint32_t>(sum.raw()));
      const int bits_over_unit = kSumBits - headroom;
      const auto fraction_of_sum =
          static_cast<int32_t>((static_cast<uint32_t>(sum.raw()) << headroom) - (uint32_t{1} << 31));
      const Unit reciprocal = gemmlowp::one_over_one_plus_x_for_x_in_0_1(Unit::FromRaw(fraction_of_sum));
      for (int64_t i = 0; i < depth; ++i) {
        const int32_t diff = x[i] - largest;
        if (diff < least) {
          y[i] = -128;
          continue;
        }
        const Unit product = reciprocal * Unit::FromRaw(exps[static_cast<size_t>(-diff)]);
        y[i] = clamp_int8(rounding_divide_by_power(product.raw(), bits_over_unit + 31 - 8) - 128);
      }
    }
  });
}

}  // namespace octet::integer
