#include <algorithm>
#include <cmath>
#include <limits>

#include "octet/integer/fixed_point.h"
#include "octet/integer/grid.h"
#include "octet/integer/kernel.h"
#include "octet/integer/kernels/broadcast.h"
#include "octet/integer/kernels/products.h"
#include "octet/integer/kernels/tables.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

namespace {

// From the grid of an input to the output's, in float32, as the reference has it.
Multiplier to_output(const KernelContext& context, float factor = 1.0F) {
  const float scale = context.scale(context.input(0));
  return quantize_multiplier(static_cast<double>(scale * factor / context.scale(context.output())));
}

constexpr float kNoBound = std::numeric_limits<float>::infinity();

Kernel make_clip(const KernelContext& context, float low, float high) {
  const Tensor& output = context.output();
  const int32_t in_zero = context.zero_point(context.input(0));
  const int32_t out_zero = context.zero_point(output);
  const auto level = [&](float value) { return wide_level(value, context.scale(output), out_zero); };
  const int32_t lowest = std::max(-128, level(low));
  const int32_t highest = high == kNoBound ? 127 : std::min(127, level(high));
  const Multiplier factor = to_output(context);
  return make_of_one(context, [=](int32_t x) {
    return clamp_int8(wrapping_add(multiply(x - in_zero, factor), out_zero), lowest, highest);
  });
}

}  // namespace

Kernel make_addition(const KernelContext& context) {
  const double first = context.scale(context.input(0)), second = context.scale(context.input(1));
  const double twice = 2.0 * std::max(first, second);  // of the larger input scale
  SumOfTwo how;
  how.a = quantize_multiplier(first / twice);
  how.b = quantize_multiplier(second / twice);
  how.out = quantize_multiplier(twice / ((1 << kFractionBits) * static_cast<double>(context.scale(context.output()))));
  how.a_zero = context.zero_point(context.input(0));
  how.b_zero = context.zero_point(context.input(1));
  how.zero_point = context.zero_point(context.output());
  how.bounds = activation_bounds(context, context.op.options.activation);
  how.subtracts = context.op.code == OpCode::kSub;
  // The sides are rounded to kFractionBits bits, before they're summed: less than kDoubt where few of them are cut off.
  constexpr double kUnit = 65536.0;
  const double step = static_cast<double>(context.scale(context.output()));
  const double a_factor = first / step, b_factor = (how.subtracts ? -second : second) / step;
  how.is_quick = twice / step <= 4.0;
  how.a_scale = static_cast<float>(a_factor * kUnit);
  how.b_scale = static_cast<float>(b_factor * kUnit);
  how.offset = static_cast<float>(kUnit / 2 - kUnit * (a_factor * how.a_zero + b_factor * how.b_zero));
  return make_of_two(context, [how, add = path_ops(context.path).add](const int8_t* x, const int8_t* y, int8_t* z,
                                                                      int64_t count) { add(how, x, y, z, count); });
}

Kernel make_multiplication(const KernelContext& context) {
  ProductOfTwo how;
  // In float32 throughout, as the reference has it.
  const float factor =
      context.scale(context.input(0)) * context.scale(context.input(1)) / context.scale(context.output());
  how.factor = quantize_multiplier(static_cast<double>(factor));
  how.a_zero = context.zero_point(context.input(0));
  how.b_zero = context.zero_point(context.input(1));
  how.zero_point = context.zero_point(context.output());
  how.bounds = activation_bounds(context, context.op.options.activation);
  constexpr double kMostProduct = 255.0 * 255.0;
  how.is_quick = kMostProduct * real_factor(how.factor) <= kMostScaled;
  const QuickFactor quick = quick_factor(how.factor, how.zero_point);
  how.scale = quick.scale;
  how.above = quick.above;
  how.below = quick.below;
  return make_of_two(
      context, [how, multiply_row = path_ops(context.path).multiply](
                   const int8_t* x, const int8_t* y, int8_t* z, int64_t count) { multiply_row(how, x, y, z, count); });
}

Kernel make_extremum(const KernelContext& context) {
  context.require_same_grid(context.output(), context.input(0));
  context.require_same_grid(context.output(), context.input(1));
  if (context.op.code == OpCode::kMaximum) {
    return make_of_two(context, [](const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
      for (int64_t i = 0; i < count; ++i) z[i] = std::max(x[i], y[i]);
    });
  }
  return make_of_two(context, [](const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
    for (int64_t i = 0; i < count; ++i) z[i] = std::min(x[i], y[i]);
  });
}

Kernel make_relu(const KernelContext& context) { return make_clip(context, 0.0F, kNoBound); }
Kernel make_relu6(const KernelContext& context) { return make_clip(context, 0.0F, 6.0F); }
Kernel make_relu_n1_to_1(const KernelContext& context) { return make_clip(context, -1.0F, 1.0F); }
Kernel make_relu_0_to_1(const KernelContext& context) { return make_clip(context, 0.0F, 1.0F); }

Kernel make_leaky_relu(const KernelContext& context) {
  const float alpha = context.op.options.alpha;
  if (!(alpha >= 0.0F)) context.fail("alpha", "at least 0", octet::str(alpha));
  const Multiplier plain = to_output(context), sloped = to_output(context, alpha);
  const int32_t in_zero = context.zero_point(context.input(0));
  const int32_t out_zero = context.zero_point(context.output());
  return make_of_one(context, [=](int32_t x) {
    const int32_t value = x - in_zero;
    return clamp_int8(wrapping_add(multiply(value, value >= 0 ? plain : sloped), out_zero));
  });
}

Kernel make_prelu(const KernelContext& context) {
  const Multiplier plain = to_output(context), sloped = to_output(context, context.scale(context.input(1)));
  const int32_t in_zero = context.zero_point(context.input(0));
  const int32_t slope_zero = context.zero_point(context.input(1));
  const int32_t out_zero = context.zero_point(context.output());
  return make_of_two(context, [=](const int8_t* x, const int8_t* slopes, int8_t* y, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const int32_t value = x[i] - in_zero;
      const int32_t scaled = value >= 0 ? multiply(value, plain) : multiply(value * (slopes[i] - slope_zero), sloped);
      y[i] = clamp_int8(wrapping_add(scaled, out_zero));
    }
  });
}

// From one grid to another: QUANTIZE of integers.
Kernel make_rescale(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  const int32_t in_zero = context.zero_point(context.input(0));
  const int32_t out_zero = context.zero_point(context.output());
  const Multiplier factor = quantize_multiplier(static_cast<double>(context.scale(context.input(0))) /
                                                static_cast<double>(context.scale(context.output())));
  if (input.type == Type::kInt8 && output.type == Type::kInt8) {
    return make_of_one(context,
                       [=](int32_t x) { return clamp_int8(wrapping_add(multiply(x - in_zero, factor), out_zero)); });
  }
  if (input.type == Type::kInt16 && output.type == Type::kUInt8) {
    context.fail("type of '" + output.name + "'", "int8 or int16 behind int16", "uint8");
  }
  const int64_t count = input.numel();
  return with_level_type(input.type, [&]<typename From>(From) {
    return with_level_type(output.type, [&]<typename To>(To) {
      return make_from_to<From, To>(context, [=](const From* x, To* y) {
        constexpr Bounds bounds = bounds_of<To>();
        for (int64_t i = 0; i < count; ++i) {
          const int32_t level = wrapping_add(multiply(x[i] - in_zero, factor), out_zero);
          y[i] = static_cast<To>(std::clamp(level, bounds.low, bounds.high));
        }
      });
    });
  });
}

}  // namespace octet::integer
