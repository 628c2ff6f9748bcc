// Operators that work element by element, or along one axis.

#include <cmath>
#include <numeric>

#include "octet/integer/executor.h"
#include "octet/lowering/clip.h"
#include "octet/lowering/operators/operators.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;

namespace {

// self op alpha * other. Where alpha is not 1 the operator is in float.
template <OpCode code>
void lower_sum(OperatorLowering& op) {
  const ValueId self = op.operand("self");
  ValueId other = op.operand("other");
  const double alpha = op.number("alpha", 1.0);
  if (alpha != 1.0) {
    const ValueId factor = op.numbers("alpha", at::scalar_tensor(alpha, at::kFloat), std::nullopt);
    other = op.step("scaled", OpCode::kMul, {other, factor}, op.shape_of(other));
  }
  op.emit(code, {self, other});
}

// On the grid, or in the result's own type.
ValueId number_like(OperatorLowering& op, const std::string& name, double value, const std::optional<Grid>& grid) {
  if (grid) return op.numbers(name, at::full({1}, value, at::kFloat), grid);
  return op.plain_constant(name, at::full({1}, value, at::TensorOptions(integer::scalar_type(op.type()))));
}

// Along one axis of the graph, which TFLite's kernel wants innermost.
void emit_along(OperatorLowering& op, OpCode code, int64_t dimension) {
  const int64_t rank = op.rank();
  const int64_t axis = op.axis(dimension, rank);
  const ValueId x = op.input("self");
  if (axis == rank - 1) {
    op.emit(code, {x});
    return;
  }
  std::vector<int64_t> swap(static_cast<size_t>(rank));
  std::iota(swap.begin(), swap.end(), 0);
  std::swap(swap[static_cast<size_t>(axis)], swap.back());
  const ValueId turned = op.transposed("turned", x, swap);
  const ValueId result = op.step("turned_result", code, {turned}, op.shape_of(turned));
  op.emit(OpCode::kTranspose, {result, op.indices("order", swap)});
}

}  // namespace

void lower_add(OperatorLowering& op) { lower_sum<OpCode::kAdd>(op); }

void lower_sub(OperatorLowering& op) { lower_sum<OpCode::kSub>(op); }

void lower_pow(OperatorLowering& op) {
  const ValueId x = op.input("self");
  const double exponent = op.number("exponent", 1.0);
  if (exponent == 2.0) return op.emit(OpCode::kMul, {x, x});
  op.emit(OpCode::kPow, {x, op.numbers("exponent", at::scalar_tensor(exponent, at::kFloat), std::nullopt)});
}

void lower_reciprocal(OperatorLowering& op) {
  op.emit(OpCode::kDiv, {op.plain_constant("one", at::ones({}, at::kFloat)), op.operand("self")});
}

void lower_square(OperatorLowering& op) {
  const ValueId x = op.operand("self");
  op.emit(OpCode::kMul, {x, x});
}

// As LiteRT's reference kernels, which lack CEIL, can compute it.
void lower_ceil(OperatorLowering& op) {
  const ValueId x = op.input("self");
  const ValueId negative = op.step("negative", OpCode::kNeg, {x}, op.shape_of(x));
  op.emit(OpCode::kNeg, {op.step("below", OpCode::kFloor, {negative}, op.shape_of(x))});
}

// 0 - x: NEG has no int8 kernel everywhere.
void lower_neg(OperatorLowering& op) {
  const ValueId x = op.input();
  op.emit(OpCode::kSub, {number_like(op, "zero", 0.0, op.grid_of(x)), x});
}

void lower_clip(OperatorLowering& op) {
  const std::optional<ActivationBounds> bounds = clipping_bounds(op.node());
  if (!bounds) op.refuse("bounds that the program computes");
  const ValueId x = op.input("self");
  const bool is_whole = !op.is_quantized() && op.type() != tflite::Type::kFloat32;
  if (const std::optional<OpCode> activation = activation_of(*bounds); activation && !is_whole) {
    op.emit(*activation, {x});
    return;
  }
  std::vector<std::pair<OpCode, double>> cuts;
  if (bounds->high) cuts.emplace_back(OpCode::kMinimum, *bounds->high);
  if (bounds->low) cuts.emplace_back(OpCode::kMaximum, *bounds->low);
  if (cuts.empty()) {
    op.alias(x);
    return;
  }
  ValueId value = x;
  for (size_t i = 0; i < cuts.size(); ++i) {
    const auto& [code, bound] = cuts[i];
    const ValueId limit = number_like(op, i == 0 && bounds->high ? "max" : "min", bound, op.grid());
    if (i + 1 == cuts.size()) {
      op.emit(code, {value, limit});
    } else {
      value = op.step("cut", code, {value, limit}, op.shape_of(value));
    }
  }
}

std::optional<OpCode> activation_of(const ActivationBounds& bounds) {
  if (bounds == ActivationBounds{0.0, std::nullopt}) return OpCode::kRelu;
  if (bounds == ActivationBounds{0.0, 6.0}) return OpCode::kRelu6;
  if (bounds == ActivationBounds{-1.0, 1.0}) return OpCode::kReluN1To1;
  if (bounds == ActivationBounds{0.0, 1.0}) return OpCode::kRelu0To1;
  return std::nullopt;
}

void lower_leaky_relu(OperatorLowering& op) {
  Options options;
  options.alpha = static_cast<float>(op.number("negative_slope", 0.01));
  op.emit(OpCode::kLeakyRelu, {op.input("self")}, options);
}

void lower_gelu(OperatorLowering& op) {
  Options options;
  options.approximate = op.text("approximate", "none") == "tanh";
  op.emit(OpCode::kGelu, {op.input("self")}, options);
}

void lower_softmax(OperatorLowering& op) { emit_along(op, OpCode::kSoftmax, op.dimension("dim", -1, op.rank())); }

void lower_log_softmax(OperatorLowering& op) {
  emit_along(op, OpCode::kLogSoftmax, op.dimension("dim", -1, op.rank()));
}

}  // namespace octet::lowering
