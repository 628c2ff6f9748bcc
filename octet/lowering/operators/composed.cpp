// Operators that TFLite has no single one for, taken apart in float.

#include "octet/lowering/operators/operators.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;

namespace {

ValueId number_tensor(OperatorLowering& op, const std::string& name, double value) {
  return op.numbers(name, at::scalar_tensor(value, at::kFloat), std::nullopt);
}

// One value a channel, in the layout of the result.
ValueId channel_tensor(OperatorLowering& op, const std::string& name, const at::Tensor& values) {
  std::vector<int64_t> shape(static_cast<size_t>(op.rank()), 1);
  shape[static_cast<size_t>(op.axis(1, op.rank()))] = values.numel();
  return op.numbers(name, values.reshape(shape), std::nullopt);
}

at::Tensor float_constant(const OperatorLowering& op, std::string_view argument, const at::Tensor& missing) {
  if (op.is_none(argument)) return missing;
  const std::optional<Constant> value = op.constant(argument);
  if (!value) op.refuse(octet::str("argument '", argument, "' is no constant"));
  return dequantized(*value);
}

// The last `count` axes of the graph's result.
std::vector<int64_t> last_axes(const OperatorLowering& op, size_t count) {
  const auto rank = static_cast<size_t>(op.rank());
  std::vector<int64_t> axes;
  for (size_t d = rank - std::min(count, rank); d < rank; ++d) axes.push_back(static_cast<int64_t>(d));
  return axes;
}

// [1, C, 1, ...]
std::vector<int64_t> channel_shape(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> shape(sizes.size(), 1);
  shape.at(1) = sizes.at(1);
  return shape;
}

// The mean along `axes`, which stay with size 1.
ValueId mean(OperatorLowering& op, const std::string& name, ValueId x, const std::vector<int64_t>& axes) {
  Options keep;
  keep.keep_dims = true;
  std::vector<int64_t> reduced = op.shape_of(x);
  for (const int64_t axis : axes) reduced[static_cast<size_t>(axis)] = 1;
  return op.step(name, OpCode::kMean, {x, op.indices("axes", axes)}, reduced, keep);
}

// 1 / sqrt(mean(squares) + eps)
ValueId inverse_root(OperatorLowering& op, ValueId squares, const std::vector<int64_t>& axes, double missing_eps) {
  const ValueId variance = mean(op, "variance", squares, axes);
  const std::vector<int64_t> shape = op.shape_of(variance);
  const ValueId eps = number_tensor(op, "eps", op.number("eps", missing_eps));
  return op.step("factor", OpCode::kRsqrt, {op.step("safe", OpCode::kAdd, {variance, eps}, shape)}, shape);
}

// (x - mean) / sqrt(variance + eps), both along `axes`.
ValueId normalized(OperatorLowering& op, ValueId x, const std::vector<int64_t>& axes) {
  const std::vector<int64_t> shape = op.shape_of(x);
  const ValueId center = mean(op, "mean", x, axes);
  const ValueId squares = op.step("squares", OpCode::kSquaredDifference, {x, center}, shape);
  const ValueId factor = inverse_root(op, squares, axes, 1e-5);
  return op.step("normalized", OpCode::kMul, {op.step("centered", OpCode::kSub, {x, center}, shape), factor}, shape);
}

// x * weight + bias, as far as there are such, in this shape.
ValueId with_affine(OperatorLowering& op, ValueId x, const std::vector<int64_t>& shape) {
  for (const auto& [argument, code] : {std::pair("weight", OpCode::kMul), std::pair("bias", OpCode::kAdd)}) {
    if (!op.node().has_arg(argument) || op.is_none(argument)) continue;
    const at::Tensor values = float_constant(op, argument, at::Tensor()).reshape(shape);
    x = op.step(octet::str("with_", argument), code, {x, op.numbers(argument, values, std::nullopt)}, op.shape_of(x));
  }
  return x;
}

}  // namespace

void lower_silu(OperatorLowering& op) {
  const ValueId x = op.input("self");
  const ValueId gate = op.step("gate", OpCode::kLogistic, {x}, op.shape_of(x));
  op.emit(OpCode::kMul, {x, gate});
}

// relu6(x + 3) / 6
void lower_hardsigmoid(OperatorLowering& op) {
  const ValueId x = op.input("self");
  const std::vector<int64_t> shape = op.shape_of(x);
  const ValueId shifted = op.step("shifted", OpCode::kAdd, {x, number_tensor(op, "three", 3.0)}, shape);
  const ValueId cut = op.step("cut", OpCode::kRelu6, {shifted}, shape);
  op.emit(OpCode::kMul, {cut, number_tensor(op, "sixth", 1.0 / 6.0)});
}

namespace {

// By the mean and variance of what it reads: a BatchNorm that never gathered statistics (track_running_stats=False).
void lower_batch_norm_of_its_batch(OperatorLowering& op) {
  if (!op.is_none("running_mean")) op.refuse("BatchNorm in training mode", "switch the model to eval");
  const std::vector<int64_t> sizes = op.node().sizes();
  std::vector<int64_t> axes;
  for (int64_t d = 0; d < op.rank(); ++d) {
    if (d != 1) axes.push_back(d);
  }
  const ValueId x = normalized(op, op.input("input", false), axes);
  give_as_given(op, with_affine(op, x, channel_shape(sizes)));
}

}  // namespace

void lower_batch_norm(OperatorLowering& op) {
  if (op.flag("training")) return lower_batch_norm_of_its_batch(op);
  const int64_t channels = op.node().sizes().at(1);
  const at::Tensor one = at::ones({channels}, at::kFloat);
  const at::Tensor zero = at::zeros({channels}, at::kFloat);
  const at::Tensor mean = float_constant(op, "running_mean", zero).to(at::kDouble);
  const at::Tensor deviation =
      at::sqrt(float_constant(op, "running_var", one).to(at::kDouble) + op.number("eps", 1e-5));
  const at::Tensor scale = float_constant(op, "weight", one).to(at::kDouble) / deviation;
  const at::Tensor shift = float_constant(op, "bias", zero).to(at::kDouble) - mean * scale;
  const ValueId x = op.input("input");
  const ValueId scaled = op.step("scaled", OpCode::kMul, {x, channel_tensor(op, "scale", scale)}, op.shape_of(x));
  op.emit(OpCode::kAdd, {scaled, channel_tensor(op, "shift", shift)});
}

void lower_layer_norm(OperatorLowering& op) {
  const std::vector<int64_t> axes = last_axes(op, op.integers("normalized_shape").size());
  const ValueId x = normalized(op, op.input("input", false), axes);
  give_as_given(op, with_affine(op, x, op.integers("normalized_shape")));
}

// Each group of channels as one row.
void lower_group_norm(OperatorLowering& op) {
  const std::vector<int64_t> sizes = op.node().sizes();
  const int64_t groups = op.integer("num_groups", 1);
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  const std::vector<int64_t> rows = {sizes.at(0), groups, count / std::max<int64_t>(sizes[0] * groups, 1)};
  const ValueId grouped = op.reshaped("grouped", op.input("input", false), rows);
  const ValueId x = op.reshaped("ungrouped", normalized(op, grouped, {2}), sizes);
  give_as_given(op, with_affine(op, x, channel_shape(sizes)));
}

void lower_instance_norm(OperatorLowering& op) {
  if (!op.flag("use_input_stats")) return lower_batch_norm(op);
  const std::vector<int64_t> sizes = op.node().sizes();
  if (sizes.size() < 3) op.refuse("instance norm of less than three dimensions");
  const ValueId x = normalized(op, op.input("input", false), last_axes(op, sizes.size() - 2));
  give_as_given(op, with_affine(op, x, channel_shape(sizes)));
}

void lower_rms_norm(OperatorLowering& op) {
  const std::vector<int64_t> shape = op.integers("normalized_shape");
  const std::vector<int64_t> axes = last_axes(op, shape.size());
  const ValueId x = op.input("input", false);
  const ValueId squares = op.step("squares", OpCode::kMul, {x, x}, op.shape_of(x));
  const ValueId factor = inverse_root(op, squares, axes, std::numeric_limits<float>::epsilon());
  give_as_given(op, with_affine(op, op.step("normalized", OpCode::kMul, {x, factor}, op.shape_of(x)), shape));
}

// The greatest plus the log of the sum of exponentials of what lies below it.
void lower_log_sum_exp(OperatorLowering& op) {
  const auto rank = static_cast<int64_t>(op.sizes("self").size());
  std::vector<int64_t> axes = op.integers("dim"), reduced = op.sizes("self");
  if (rank == 0) op.refuse("a number without dimensions");
  for (int64_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
  for (const int64_t axis : axes) reduced[static_cast<size_t>(axis)] = 1;
  Options keep;
  keep.keep_dims = true;
  const ValueId x = op.input("self", false);
  const ValueId most = op.step("most", OpCode::kReduceMax, {x, op.indices("axes", axes)}, reduced, keep);
  const ValueId below = op.step("below", OpCode::kSub, {x, most}, op.shape_of(x));
  const ValueId powers = op.step("powers", OpCode::kExp, {below}, op.shape_of(x));
  const ValueId sum = op.step("sum", OpCode::kSum, {powers, op.indices("axes", axes)}, reduced, keep);
  const ValueId log = op.step("log", OpCode::kLog, {sum}, reduced);
  const ValueId result = op.step("result", OpCode::kAdd, {log, most}, reduced);
  give_as_given(op, op.reshaped("narrow", result, op.node().sizes()));
}

}  // namespace octet::lowering
