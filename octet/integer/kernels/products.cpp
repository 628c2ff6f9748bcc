#include "octet/integer/kernels/products.h"

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

WeightSums::WeightSums(const KernelContext& context, int64_t channels) : sums_(static_cast<size_t>(channels), 0) {
  const Tensor& weight = context.input(1);
  if (!weight.is_constant) context.fail("weight", "a constant", "a computed value");
  const int64_t each = channels == 0 ? 0 : weight.numel() / channels;
  const auto* levels = reinterpret_cast<const int8_t*>(weight.data.data());
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < each; ++i) sums_[static_cast<size_t>(c)] += levels[c * each + i];
  }
}

void check_sum(int64_t sum, const std::string& where) {
  if (sum >= INT32_MIN && sum <= INT32_MAX) return;
  throw expected(where, "accumulator", "within int32", std::to_string(sum));
}

void check_accumulator(const int8_t* x, const int8_t* weight, int64_t count, int32_t zero_point, int32_t bias,
                       const std::string& where) {
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    sum += static_cast<int64_t>(x[i] - zero_point) * weight[i];
    check_sum(sum, where);
  }
  check_sum(sum + bias, where);
}

}  // namespace octet::integer
