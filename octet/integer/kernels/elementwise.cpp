#include <cmath>
#include <limits>

#include "octet/integer/fixed_point.h"
#include "octet/integer/kernel.h"
#include "octet/integer/kernels/broadcast.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

namespace {

void require_int8(const KernelContext& context, std::initializer_list<const Tensor*> tensors) {
  for (const Tensor* tensor : tensors) context.require_type(*tensor, Type::kInt8);
}

// Sums keep 20 bits behind the point, at twice the larger input scale.
constexpr int kSumBits = 20;

Kernel make_sum_of_two(const KernelContext& context, bool subtract) {
  const Tensor& first = context.input(0);
  const Tensor& second = context.input(1);
  const Tensor& output = context.output();
  const double twice = 2.0 * std::max(context.scale(first), context.scale(second));
  const Multiplier a_factor = quantize_multiplier(static_cast<double>(context.scale(first)) / twice);
  const Multiplier b_factor = quantize_multiplier(static_cast<double>(context.scale(second)) / twice);
  const Multiplier out_factor =
      quantize_multiplier(twice / ((1 << kSumBits) * static_cast<double>(context.scale(output))));
  const int32_t a_zero = context.zero_point(first);
  const int32_t b_zero = context.zero_point(second);
  const int32_t out_zero = context.zero_point(output);
  const Bounds bounds = activation_bounds(context, context.op.options.activation);
  const Broadcast broadcast(context, first, second);
  const auto a = context.input_index(0);
  const auto b = context.input_index(1);
  const auto out = context.output_index();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(a);
    const auto* y = values.at<const int8_t>(b);
    auto* z = values.at<int8_t>(out);
    broadcast.each([&](int64_t i, int64_t j, int64_t k) {
      const int32_t left = multiply((x[i] - a_zero) * (1 << kSumBits), a_factor);
      const int32_t right = multiply((y[j] - b_zero) * (1 << kSumBits), b_factor);
      const int32_t sum = subtract ? left - right : left + right;
      z[k] = clamp_int8(multiply(sum, out_factor) + out_zero, bounds.low, bounds.high);
    });
  };
}

Kernel make_product_of_two(const KernelContext& context) {
  const Tensor& first = context.input(0);
  const Tensor& second = context.input(1);
  const Tensor& output = context.output();
  // In float32 throughout, as the reference has it.
  const float factor = context.scale(first) * context.scale(second) / context.scale(output);
  const Multiplier multiplier = quantize_multiplier(static_cast<double>(factor));
  const int32_t a_zero = context.zero_point(first);
  const int32_t b_zero = context.zero_point(second);
  const int32_t out_zero = context.zero_point(output);
  const Bounds bounds = activation_bounds(context, context.op.options.activation);
  const Broadcast broadcast(context, first, second);
  const auto a = context.input_index(0);
  const auto b = context.input_index(1);
  const auto out = context.output_index();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(a);
    const auto* y = values.at<const int8_t>(b);
    auto* z = values.at<int8_t>(out);
    broadcast.each([&](int64_t i, int64_t j, int64_t k) {
      const int32_t product = (x[i] - a_zero) * (y[j] - b_zero);
      z[k] = clamp_int8(multiply(product, multiplier) + out_zero, bounds.low, bounds.high);
    });
  };
}

}  // namespace

Kernel make_binary(const KernelContext& context) {
  require_int8(context, {&context.input(0), &context.input(1), &context.output()});
  if (context.op.code == OpCode::kMul) return make_product_of_two(context);
  return make_sum_of_two(context, context.op.code == OpCode::kSub);
}

Kernel make_extremum(const KernelContext& context) {
  const Tensor& first = context.input(0);
  const Tensor& second = context.input(1);
  require_int8(context, {&first, &second, &context.output()});
  context.require_same_grid(context.output(), first);
  context.require_same_grid(context.output(), second);
  const Broadcast broadcast(context, first, second);
  const bool largest = context.op.code == OpCode::kMaximum;
  const auto a = context.input_index(0);
  const auto b = context.input_index(1);
  const auto out = context.output_index();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(a);
    const auto* y = values.at<const int8_t>(b);
    auto* z = values.at<int8_t>(out);
    broadcast.each(
        [&](int64_t i, int64_t j, int64_t k) { z[k] = largest ? std::max(x[i], y[j]) : std::min(x[i], y[j]); });
  };
}

Kernel make_relu(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_int8(context, {&input, &output});
  context.require_same_shape(input, output);
  float low = 0.0F;
  float high = std::numeric_limits<float>::infinity();
  if (context.op.code == OpCode::kRelu6) high = 6.0F;
  if (context.op.code == OpCode::kReluN1To1) low = -1.0F;
  if (context.op.code != OpCode::kRelu && context.op.code != OpCode::kRelu6) high = 1.0F;
  const int32_t in_zero = context.zero_point(input);
  const int32_t out_zero = context.zero_point(output);
  const auto level = [&](float value) {
    return out_zero + static_cast<int32_t>(std::round(value / context.scale(output)));
  };
  const int32_t lowest = std::max(-128, level(low));
  const int32_t highest = std::isinf(high) ? 127 : std::min(127, level(high));
  const Multiplier factor = quantize_multiplier(static_cast<double>(context.scale(input) / context.scale(output)));
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  const int64_t count = input.numel();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<int8_t>(out);
    for (int64_t i = 0; i < count; ++i) {
      y[i] = clamp_int8(out_zero + multiply(x[i] - in_zero, factor), lowest, highest);
    }
  };
}

Kernel make_leaky_relu(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_int8(context, {&input, &output});
  context.require_same_shape(input, output);
  const float alpha = context.op.options.alpha;
  if (!(alpha >= 0.0F)) context.fail("alpha", "at least 0", octet::str(alpha));
  const Multiplier plain = quantize_multiplier(static_cast<double>(context.scale(input) / context.scale(output)));
  const Multiplier sloped =
      quantize_multiplier(static_cast<double>(context.scale(input) * alpha / context.scale(output)));
  const int32_t in_zero = context.zero_point(input);
  const int32_t out_zero = context.zero_point(output);
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  const int64_t count = input.numel();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<int8_t>(out);
    for (int64_t i = 0; i < count; ++i) {
      const int32_t value = x[i] - in_zero;
      y[i] = clamp_int8(out_zero + multiply(value, value >= 0 ? plain : sloped));
    }
  };
}

Kernel make_prelu(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& slope = context.input(1);
  const Tensor& output = context.output();
  require_int8(context, {&input, &slope, &output});
  const Multiplier plain = quantize_multiplier(static_cast<double>(context.scale(input) / context.scale(output)));
  const Multiplier sloped =
      quantize_multiplier(static_cast<double>(context.scale(input) * context.scale(slope) / context.scale(output)));
  const int32_t in_zero = context.zero_point(input);
  const int32_t slope_zero = context.zero_point(slope);
  const int32_t out_zero = context.zero_point(output);
  const Broadcast broadcast(context, input, slope);
  const auto a = context.input_index(0);
  const auto b = context.input_index(1);
  const auto out = context.output_index();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(a);
    const auto* slopes = values.at<const int8_t>(b);
    auto* y = values.at<int8_t>(out);
    broadcast.each([&](int64_t i, int64_t j, int64_t k) {
      const int32_t value = x[i] - in_zero;
      const int32_t scaled = value >= 0 ? multiply(value, plain) : multiply(value * (slopes[j] - slope_zero), sloped);
      y[k] = clamp_int8(out_zero + scaled);
    });
  };
}

}  // namespace octet::integer
