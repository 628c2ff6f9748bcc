#include "octet/integer/fixed_point.h"
#include "octet/integer/kernel.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

namespace {

// The places in the output that input elements go to, an input element each.
class Reduction {
 public:
  explicit Reduction(const KernelContext& context) {
    const Tensor& input = context.input(0);
    const Tensor& output = context.output();
    sizes_ = input.shape;
    std::vector<bool> reduced(sizes_.size(), false);
    for (int64_t axis : context.integers(1)) {
      const auto rank = static_cast<int64_t>(sizes_.size());
      if (axis < -rank || axis >= rank)
        context.fail("axis", octet::str("within ", rank, " dimensions"), std::to_string(axis));
      reduced[static_cast<size_t>(axis < 0 ? axis + rank : axis)] = true;
    }
    steps_.assign(sizes_.size(), 0);
    int64_t step = 1;
    for (size_t d = sizes_.size(); d-- > 0;) {
      if (reduced[d]) {
        count_ *= sizes_[d];
      } else {
        steps_[d] = step;
        step *= sizes_[d];
      }
    }
    if (output.numel() != step) {
      context.fail("elements of the output", std::to_string(step), std::to_string(output.numel()));
    }
    elements_ = input.numel();
  }

  int64_t count() const { return count_; }  // input elements of an output element

  template <typename Visit>
  void each(Visit visit) const {
    std::vector<int64_t> at(sizes_.size(), 0);
    int64_t to = 0;
    for (int64_t i = 0; i < elements_; ++i) {
      visit(i, to);
      for (size_t d = sizes_.size(); d-- > 0;) {
        to += steps_[d];
        if (++at[d] < sizes_[d]) break;
        to -= steps_[d] * sizes_[d];
        at[d] = 0;
      }
    }
  }

 private:
  std::vector<int64_t> sizes_, steps_;
  int64_t count_ = 1;
  int64_t elements_ = 0;
};

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
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  const auto elements = static_cast<size_t>(output.numel());
  Multiplier factor =
      quantize_multiplier(static_cast<double>(context.scale(input)) / static_cast<double>(context.scale(output)));
  if (context.op.code == OpCode::kMean) factor = divided(factor, reduction.count());
  const auto centre = static_cast<int32_t>(context.zero_point(input) * reduction.count());
  const int32_t out_zero = context.zero_point(output);
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<int8_t>(out);
    std::vector<int32_t> sums(elements, 0);
    reduction.each([&](int64_t i, int64_t to) { sums[static_cast<size_t>(to)] += x[i]; });
    for (size_t i = 0; i < elements; ++i) y[i] = clamp_int8(multiply(sums[i] - centre, factor) + out_zero);
  };
}

Kernel make_reduced_extremum(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_type(input, Type::kInt8);
  context.require_type(output, Type::kInt8);
  context.require_same_grid(input, output);
  const Reduction reduction(context);
  const bool largest = context.op.code == OpCode::kReduceMax;
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  const auto elements = static_cast<size_t>(output.numel());
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<int8_t>(out);
    std::fill(y, y + elements, largest ? int8_t{-128} : int8_t{127});
    reduction.each([&](int64_t i, int64_t to) { y[to] = largest ? std::max(y[to], x[i]) : std::min(y[to], x[i]); });
  };
}

}  // namespace octet::integer
