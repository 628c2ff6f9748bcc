#include "octet/integer/fixed_point.h"
#include "octet/integer/kernel.h"
#include "octet/integer/kernels/reduction.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

namespace {

// The factor with the division by the number of elements folded in.
Multiplier divided(Multiplier factor, int64_t count) {
  int shift = 63 - __builtin_clzll(static_cast<uint64_t>(count));
  shift = std::min(shift, 32);
  shift = std::min(shift, 31 + factor.shift);
  return {static_cast<int32_t>((static_cast<int64_t>(factor.value) << shift) / count), factor.shift - shift};
}

}  // namespace

Kernel make_sum(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_type(input, Type::kInt8);
  context.require_type(output, Type::kInt8);
  const Reduction reduction(context);
  if (reduction.count() < 1) context.fail("reduced elements", "at least 1", "none");
  const auto elements = static_cast<size_t>(output.numel());
  Multiplier factor =
      quantize_multiplier(static_cast<double>(context.scale(input)) / static_cast<double>(context.scale(output)));
  if (context.op.code == OpCode::kMean) factor = divided(factor, reduction.count());
  const auto centre = static_cast<int32_t>(context.zero_point(input) * reduction.count());
  const int32_t out_zero = context.zero_point(output);
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) {
    std::vector<int32_t> sums(elements, 0);
    reduce(reduction, x, sums.data(), [](int32_t sum, int8_t value) { return sum + value; });
    for (size_t i = 0; i < elements; ++i) y[i] = clamp_int8(wrapping_add(multiply(sums[i] - centre, factor), out_zero));
  });
}

Kernel make_reduced_extremum(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_type(input, Type::kInt8);
  context.require_type(output, Type::kInt8);
  context.require_same_grid(input, output);
  const Reduction reduction(context);
  const bool largest = context.op.code == OpCode::kReduceMax;
  const auto elements = static_cast<size_t>(output.numel());
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) {
    std::fill(y, y + elements, largest ? int8_t{-128} : int8_t{127});
    if (largest) {
      reduce(reduction, x, y, [](int8_t most, int8_t value) { return std::max(most, value); });
    } else {
      reduce(reduction, x, y, [](int8_t least, int8_t value) { return std::min(least, value); });
    }
  });
}

}  // namespace octet::integer
