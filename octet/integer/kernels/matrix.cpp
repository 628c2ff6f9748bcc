#include "octet/integer/gemm.h"
#include "octet/integer/kernel.h"
#include "octet/integer/kernels/checked.h"
#include "octet/integer/kernels/products.h"
#include "octet/integer/kernels/windowed_product.h"
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
  constant_weights(context);
  if (context.check_overflow) return make_plain_rows(context, depth, requantize);
  return make_windowed_product(context, window_of_rows(rows, depth, channels), requantize);
}

namespace {

// Of a stack of matrices.
struct Product {
  int64_t batches, rows, depth, columns;
};

Product product_of(const KernelContext& context) {
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
  return {batches, rows, depth, columns};
}

// [rows, columns] of a matrix that lies in [columns, rows].
std::vector<int8_t> turned(const int8_t* from, int64_t rows, int64_t columns) {
  std::vector<int8_t> to(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) to[static_cast<size_t>(r * columns + c)] = from[c * rows + r];
  }
  return to;
}

}  // namespace

Kernel make_batch_matmul(const KernelContext& context) {
  const Product product = product_of(context);
  const Tensor& left = context.input(0);
  const Tensor& right = context.input(1);
  // The product of the scales in float32, as the reference has it.
  const auto scales = static_cast<double>(context.scale(left) * context.scale(right));
  const Multiplier factor = quantize_multiplier(scales / static_cast<double>(context.scale(context.output())));
  const Requantization uniform = uniform_requantization(factor, product.columns, context.zero_point(context.output()));
  const int32_t left_zero = context.zero_point(left);
  const int32_t right_zero = context.zero_point(right);
  const bool adj_x = context.op.options.adj_x, adj_y = context.op.options.adj_y;
  const auto a = context.input_index(0);
  const auto b = context.input_index(1);
  const auto out = context.output_index();
  const Path path = context.path;
  const bool check = context.check_overflow;
  const std::string where = context.where();
  const auto run = [=](const Values& values) {
    const auto [batches, rows, depth, columns] = product;
    auto* z = values.at<int8_t>(out);
    Requantization how = uniform;
    for (int64_t batch = 0; batch < batches; ++batch, z += rows * columns) {
      const int8_t* x = values.at<const int8_t>(a) + batch * rows * depth;
      const int8_t* y = values.at<const int8_t>(b) + batch * depth * columns;
      const std::vector<int8_t> turned_x = adj_x ? turned(x, rows, depth) : std::vector<int8_t>();
      const std::vector<int8_t> turned_y = adj_y ? std::vector<int8_t>() : turned(y, columns, depth);
      if (adj_x) x = turned_x.data();
      if (!adj_y) y = turned_y.data();
      if (check) {
        for (int64_t at = 0; at < rows * columns; ++at) {
          int64_t sum = 0;
          for (int64_t d = 0; d < depth; ++d) {
            sum += (x[at / columns * depth + d] - left_zero) * (y[at % columns * depth + d] - right_zero);
            check_sum(sum, where);
          }
        }
      }
      // sum (x - zx) (y - zy) = sum x y - zx sum y - zy sum x + depth zx zy
      const PackedWeights packed(path, y, columns, 1, depth);
      const PathOps& ops = packed.ops();
      const auto centre = static_cast<uint32_t>(left_zero + ops.activation_shift);
      const auto both = static_cast<uint32_t>(depth) * static_cast<uint32_t>(left_zero * right_zero);
      for (size_t c = 0; c < packed.sums().size(); ++c) {
        how.offset[c] = static_cast<int32_t>(both - centre * static_cast<uint32_t>(packed.sums()[c]));
      }
      uint8_t* image = values.scratch();
      ops.pack(x, rows * depth, image);
      fill_packed(ops, 0, kReadAhead / ops.activation_bytes, image + rows * depth * ops.activation_bytes);
      packed.multiply(
          0, rows, [&](int64_t row) { return image + row * depth * ops.activation_bytes; }, {0},
          [&](int64_t row, int64_t first, int64_t width, int32_t* sums) {
            uint32_t sum = 0;
            for (int64_t d = 0; d < depth; ++d) sum += static_cast<uint32_t>(static_cast<int32_t>(x[row * depth + d]));
            const auto shift = static_cast<int32_t>(0U - static_cast<uint32_t>(right_zero) * sum);
            for (int64_t i = 0; i < width; ++i) sums[i] = wrapping_add(sums[i], shift);
            ops.requantize(sums, how, first, width, z + row * columns + first);
          });
    }
  };
  return {run, product.rows * product.depth * path_ops(path).activation_bytes + kReadAhead};
}

}  // namespace octet::integer
