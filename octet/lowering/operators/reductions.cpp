#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

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

// What LiteRT's reference kernel of SUM adds up where both sides lie on one grid are levels, in eight bits: no sums.
bool is_lost_in_levels(const OperatorLowering& op) {
  const std::optional<Grid> from = op.grid_of_argument("self");
  return !op.options().is_plain() && from && op.grid() && from->type == tflite::Type::kInt8 &&
         from->has_levels_of(*op.grid());
}

// Of rows of what is summed, times a column of ones: the same levels from every kernel.
void emit_sum_by_ones(OperatorLowering& op) {
  const std::vector<int64_t> sizes = op.sizes("self");
  const auto rank = static_cast<int64_t>(sizes.size());
  const bool is_nhwc = rank > 2 && op.keeps_channels_last(*op.node().arg("self").node());
  const std::vector<int64_t> dims = reduced_dimensions(op, rank);
  std::vector<int64_t> order, summed;
  int64_t rows = 1, depth = 1;
  for (int64_t d = 0; d < rank; ++d) {
    const bool stays = std::find(dims.begin(), dims.end(), d) == dims.end();
    (stays ? rows : depth) *= sizes[static_cast<size_t>(d)];
    (stays ? order : summed).push_back(!is_nhwc || d == 0 ? d : d == 1 ? rank - 1 : d - 1);
  }
  std::sort(summed.begin(), summed.end());
  order.insert(order.end(), summed.begin(), summed.end());
  ValueId x = op.input("self", is_nhwc);
  if (!std::is_sorted(order.begin(), order.end())) x = op.transposed("summed_last", x, order);
  x = op.reshaped("rows", x, {rows, depth});
  const float scale = op.grid()->scale;
  const ValueId ones = op.constant_tensor("ones", {at::ones({1, depth}, at::kChar), {{1.0F}, {0}, 0}});
  const ValueId zero = op.constant_tensor("zero", {at::zeros({1}, at::kInt), {{scale}, {0}, 0}});
  const ValueId sums = op.step("sums", OpCode::kFullyConnected, {x, ones, zero}, {rows, 1});
  give_as_given(op, op.reshaped("narrow", sums, op.node().sizes()));
}

}  // namespace

template <OpCode code>
void lower_reduction(OperatorLowering& op) {
  if (op.is_quantized()) return emit_reduction(op, code);
  emit_reduction(op, code, [&](ValueId x) { return op.cast("in_type", x, op.type()); });
}

template void lower_reduction<OpCode::kMean>(OperatorLowering&);
template void lower_reduction<OpCode::kReduceMax>(OperatorLowering&);
template void lower_reduction<OpCode::kReduceMin>(OperatorLowering&);
template void lower_reduction<OpCode::kReduceAny>(OperatorLowering&);
template void lower_reduction<OpCode::kReduceAll>(OperatorLowering&);

void lower_sum_of_all(OperatorLowering& op) {
  constexpr int64_t kMostTerms = int64_t{1} << 23;  // of 8 bits in an int32
  if (op.is_quantized() && is_lost_in_levels(op)) {
    const at::IntArrayRef sizes = op.sizes("self");
    if (std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>()) <= kMostTerms) {
      return emit_sum_by_ones(op);
    }
  }
  lower_reduction<OpCode::kSum>(op);
}

void lower_vector_norm(OperatorLowering& op) {
  const double ord = op.number("ord", 2.0);
  const auto square = [&](ValueId x) { return op.step("squares", OpCode::kMul, {x, x}, op.shape_of(x)); };
  const auto size = [&](ValueId x) { return op.step("sizes", OpCode::kAbs, {x}, op.shape_of(x)); };
  if (ord == 2.0) return emit_reduction(op, OpCode::kSum, square, OpCode::kSqrt);
  if (ord == 1.0) return emit_reduction(op, OpCode::kSum, size);
  if (!std::isinf(ord)) op.refuse(octet::str("a norm of order ", ord), "order 1, 2 or infinity");
  emit_reduction(op, ord > 0.0 ? OpCode::kReduceMax : OpCode::kReduceMin, size);
}

// Each element times the one so many before it, which holds the product of as many: then of twice as many.
void lower_cumulative_product(OperatorLowering& op) {
  if (op.type() != tflite::Type::kFloat32) op.refuse("products of whole numbers");
  const std::vector<int64_t> shape = op.node().sizes();
  if (shape.empty()) op.refuse("a number without dimensions");
  const int64_t axis = op.dimension("dim", 0, static_cast<int64_t>(shape.size()));
  const int64_t size = shape[static_cast<size_t>(axis)];
  const auto part = [&](const std::string& name, ValueId from, int64_t start, int64_t length) {
    std::vector<int64_t> begin(shape.size(), 0), lengths = shape;
    begin[static_cast<size_t>(axis)] = start;
    lengths[static_cast<size_t>(axis)] = length;
    return op.step(name, OpCode::kSlice,
                   {from, op.indices(name + "_begin", begin), op.indices(name + "_size", lengths)}, lengths);
  };
  ValueId x = op.cast("in_type", op.input("self", false), op.type());
  tflite::Options joined;
  joined.axis = static_cast<int32_t>(axis);
  for (int64_t held = 1; held < size; held *= 2) {
    const auto named = [&](const char* what) { return octet::str(what, held); };
    const ValueId first = part(named("first_"), x, 0, held);
    const ValueId rest = part(named("rest_"), x, held, size - held);
    const ValueId before = part(named("before_"), x, 0, size - held);
    const ValueId products = op.step(named("products_"), OpCode::kMul, {rest, before}, op.shape_of(rest));
    x = op.step(named("joined_"), OpCode::kConcatenation, {first, products}, shape, joined);
  }
  give_as_given(op, x);
}

// Halves times each other, until one element is left along the dimension.
void lower_product_of_all(OperatorLowering& op) {
  std::vector<int64_t> shape = op.sizes("self");
  const auto rank = static_cast<int64_t>(shape.size());
  ValueId x = op.cast("in_type", op.input("self", false), op.type());
  int64_t axis = 0;
  if (op.is_none("dim") || rank == 0) {
    shape = {std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())};
    x = op.reshaped("flat", x, shape);
  } else {
    axis = op.dimension("dim", 0, rank);
  }
  int64_t& size = shape[static_cast<size_t>(axis)];
  if (size < 1) op.refuse("a product of no elements");
  int64_t count = 0;
  const auto part = [&](ValueId from, int64_t start, int64_t length) {
    const std::string name = octet::str("part_", ++count);
    std::vector<int64_t> begin(shape.size(), 0), lengths = shape;
    begin[static_cast<size_t>(axis)] = start;
    lengths[static_cast<size_t>(axis)] = length;
    return op.step(name, OpCode::kSlice,
                   {from, op.indices(name + "_begin", begin), op.indices(name + "_size", lengths)}, lengths);
  };
  const auto times = [&](ValueId a, ValueId b) {
    return op.step(octet::str("product_", ++count), OpCode::kMul, {a, b}, op.shape_of(a));
  };
  ValueId odd = kNoValue;
  while (size > 1) {
    const int64_t half = size / 2;
    if (size % 2 == 1) {
      const ValueId last = part(x, size - 1, 1);
      odd = odd == kNoValue ? last : times(odd, last);
    }
    x = times(part(x, 0, half), part(x, half, half));
    size = half;
  }
  if (odd != kNoValue) x = times(x, odd);
  give_as_given(op, op.reshaped("narrow", x, op.node().sizes()));
}

}  // namespace octet::lowering
