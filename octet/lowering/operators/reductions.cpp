#include <algorithm>
#include <cmath>
#include <functional>

#include "octet/lowering/operators/operators.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;

namespace {

std::vector<int64_t> reduced_dimensions(const OperatorLowering& op, int64_t rank) {
  std::vector<int64_t> dims = op.integers("dim");
  if (dims.empty()) {  // all
    for (int64_t d = 0; d < rank; ++d) dims.push_back(d);
  }
  for (int64_t& dim : dims) dim = dim < 0 ? dim + rank : dim;
  return dims;
}

// A reduction, of what `before` makes of its input; `behind` makes the result of it.
void emit_reduction(OperatorLowering& op, OpCode code, const std::function<ValueId(ValueId)>& before = {},
                    std::optional<OpCode> behind = {}) {
  const auto rank = static_cast<int64_t>(op.sizes("self").size());
  const std::vector<int64_t> dims = reduced_dimensions(op, rank);
  Options options;
  options.keep_dims = op.flag("keepdim");
  const auto axes_in = [&](bool channels_last) {
    std::vector<int64_t> axes;
    for (const int64_t dim : dims) {
      const bool moves = channels_last && rank > 2 && dim > 0;
      axes.push_back(!moves ? dim : dim == 1 ? rank - 1 : dim - 1);
    }
    if (dims.size() == static_cast<size_t>(rank)) std::sort(axes.begin(), axes.end());
    return axes;
  };
  const auto read = [&](ValueId x) { return before ? before(x) : x; };
  const auto give = [&](ValueId x, const std::vector<int64_t>& axes) {
    const ValueId wanted = op.indices("axes", axes);
    if (!behind) return op.emit(code, {x, wanted}, options);
    op.emit(*behind, {op.step("reduced", code, {x, wanted}, op.laid_out(op.node().sizes()), options)});
  };
  if (options.keep_dims) {
    give(read(op.input("self")), axes_in(op.channels_last()));
    return;
  }
  // What is left keeps its order where the channels go, or all of the image.
  const auto reduces = [&](int64_t dim) { return std::find(dims.begin(), dims.end(), dim) != dims.end(); };
  bool all_of_image = true;
  for (int64_t d = 2; d < rank; ++d) all_of_image = all_of_image && reduces(d);
  const bool as_it_lies =
      op.keeps_channels_last(*op.node().arg("self").node()) && rank > 2 && (reduces(1) || all_of_image);
  const ValueId x = read(op.input("self", as_it_lies));
  if (!op.channels_last()) {
    give(x, axes_in(as_it_lies));
    return;
  }
  ValueId reduced = op.step("reduced", code, {x, op.indices("axes", axes_in(as_it_lies))}, op.node().sizes(), options);
  if (behind) reduced = op.step("changed", *behind, {reduced}, op.node().sizes());
  give_as_given(op, reduced);
}

}  // namespace

template <OpCode code>
void lower_reduction(OperatorLowering& op) {
  if (op.is_quantized()) return emit_reduction(op, code);
  emit_reduction(op, code, [&](ValueId x) { return op.cast("in_type", x, op.type()); });
}

template void lower_reduction<OpCode::kMean>(OperatorLowering&);
template void lower_reduction<OpCode::kSum>(OperatorLowering&);
template void lower_reduction<OpCode::kReduceMax>(OperatorLowering&);
template void lower_reduction<OpCode::kReduceMin>(OperatorLowering&);
template void lower_reduction<OpCode::kReduceAny>(OperatorLowering&);
template void lower_reduction<OpCode::kReduceAll>(OperatorLowering&);

void lower_vector_norm(OperatorLowering& op) {
  const double ord = op.number("ord", 2.0);
  const auto square = [&](ValueId x) { return op.step("squares", OpCode::kMul, {x, x}, op.shape_of(x)); };
  const auto size = [&](ValueId x) { return op.step("sizes", OpCode::kAbs, {x}, op.shape_of(x)); };
  if (ord == 2.0) return emit_reduction(op, OpCode::kSum, square, OpCode::kSqrt);
  if (ord == 1.0) return emit_reduction(op, OpCode::kSum, size);
  if (!std::isinf(ord)) op.refuse(octet::str("a norm of order ", ord), "order 1, 2 or infinity");
  emit_reduction(op, ord > 0.0 ? OpCode::kReduceMax : OpCode::kReduceMin, size);
}

}  // namespace octet::lowering
