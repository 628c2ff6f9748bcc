#include "octet/integer/dot.h"
#include "octet/integer/kernel.h"
#include "octet/integer/kernels/products.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::Tensor;
using tflite::Type;

Kernel make_fully_connected(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& weight = context.input(1);
  const Tensor& output = context.output();
  for (const Tensor* each : {&input, &weight, &output}) context.require_type(*each, Type::kInt8);
  context.require_rank(weight, 2);
  const int64_t channels = weight.shape[0];
  const int64_t depth = weight.shape[1];
  if (depth < 1 || input.numel() % depth != 0 || output.numel() != input.numel() / depth * channels) {
    context.fail("elements", octet::str("a multiple of ", depth, " in, as many times ", channels, " out"),
                 octet::str(input.numel(), " and ", output.numel()));
  }
  const int64_t rows = input.numel() / depth;
  const Requantizer requantize(context, channels, 0, 2, /*rounds_once=*/true);
  const WeightSums sums(context, channels);
  const int32_t zero_point = context.zero_point(input);
  const auto in = context.input_index(0);
  const auto filters = context.input_index(1);
  const auto out = context.output_index();
  const bool check = context.check_overflow;
  const std::string where = context.where();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    const auto* weights = values.at<const int8_t>(filters);
    auto* y = values.at<int8_t>(out);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t c = 0; c < channels; ++c) {
        const int32_t sum = dot(x + row * depth, weights + c * depth, depth);
        if (check) {
          check_accumulator(x + row * depth, weights + c * depth, depth, zero_point, requantize.bias(c), where);
        }
        y[row * channels + c] = requantize(sums.centered(sum, c, zero_point), c);
      }
    }
  };
}

Kernel make_batch_matmul(const KernelContext& context) {
  const Tensor& left = context.input(0);
  const Tensor& right = context.input(1);
  const Tensor& output = context.output();
  for (const Tensor* each : {&left, &right, &output}) context.require_type(*each, Type::kInt8);
  const size_t rank = output.shape.size();
  if (rank < 2) context.fail("dimensions", "at least 2", std::to_string(rank));
  context.require_rank(left, rank);
  context.require_rank(right, rank);
  const bool adj_x = context.op.options.adj_x;
  const bool adj_y = context.op.options.adj_y;
  const int64_t rows = left.shape[rank - (adj_x ? 1 : 2)];
  const int64_t depth = left.shape[rank - (adj_x ? 2 : 1)];
  const int64_t columns = right.shape[rank - (adj_y ? 2 : 1)];
  if (right.shape[rank - (adj_y ? 1 : 2)] != depth || output.shape[rank - 2] != rows ||
      output.shape[rank - 1] != columns) {
    context.fail("shapes", "rows x depth times depth x columns", "others");
  }
  int64_t batches = 1;
  for (size_t i = 0; i + 2 < rank; ++i) {
    if (left.shape[i] != output.shape[i] || right.shape[i] != output.shape[i]) {
      context.fail(octet::str("dimension ", i), std::to_string(output.shape[i]),
                   octet::str(left.shape[i], " and ", right.shape[i]));
    }
    batches *= output.shape[i];
  }
  // The product of the scales in float32, as the reference has it.
  const auto product = static_cast<double>(context.scale(left) * context.scale(right));
  const Multiplier factor = quantize_multiplier(product / static_cast<double>(context.scale(output)));
  const int32_t left_zero = context.zero_point(left);
  const int32_t right_zero = context.zero_point(right);
  const int32_t out_zero = context.zero_point(output);
  const auto a = context.input_index(0);
  const auto b = context.input_index(1);
  const auto out = context.output_index();
  const bool check = context.check_overflow;
  const std::string where = context.where();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(a);
    const auto* y = values.at<const int8_t>(b);
    auto* z = values.at<int8_t>(out);
    for (int64_t batch = 0; batch < batches; ++batch) {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          int64_t sum = 0;
          for (int64_t d = 0; d < depth; ++d) {
            const int8_t first = x[adj_x ? (batch * depth + d) * rows + r : (batch * rows + r) * depth + d];
            const int8_t second = y[adj_y ? (batch * columns + c) * depth + d : (batch * depth + d) * columns + c];
            sum += static_cast<int64_t>(first - left_zero) * (second - right_zero);
            if (check) check_sum(sum, where);
          }
          z[(batch * rows + r) * columns + c] = clamp_int8(multiply(static_cast<int32_t>(sum), factor) + out_zero);
        }
      }
    }
  };
}

}  // namespace octet::integer
