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

void lower_batch_norm(OperatorLowering& op) {
  if (op.flag("training")) op.refuse("BatchNorm in training mode", "switch the model to eval");
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
  const std::vector<int64_t> sizes = op.node().sizes();
  const std::vector<int64_t> normalized = op.integers("normalized_shape");
  std::vector<int64_t> axes, reduced = sizes;
  for (size_t d = sizes.size() - normalized.size(); d < sizes.size(); ++d) {
    axes.push_back(static_cast<int64_t>(d));
    reduced[d] = 1;
  }
  Options keep;
  keep.keep_dims = true;
  const ValueId x = op.input("input", false);
  const ValueId mean = op.step("mean", OpCode::kMean, {x, op.indices("axes", axes)}, reduced, keep);
  const ValueId squares = op.step("squares", OpCode::kSquaredDifference, {x, mean}, sizes);
  const ValueId variance = op.step("variance", OpCode::kMean, {squares, op.indices("axes", axes)}, reduced, keep);
  const ValueId safe =
      op.step("safe", OpCode::kAdd, {variance, number_tensor(op, "eps", op.number("eps", 1e-5))}, reduced);
  const ValueId factor = op.step("factor", OpCode::kRsqrt, {safe}, reduced);
  const ValueId centered = op.step("centered", OpCode::kSub, {x, mean}, sizes);
  ValueId result = op.step("normalized", OpCode::kMul, {centered, factor}, sizes);
  for (const auto& [argument, code] : {std::pair("weight", OpCode::kMul), std::pair("bias", OpCode::kAdd)}) {
    if (op.is_none(argument)) continue;
    const at::Tensor values = float_constant(op, argument, at::Tensor());
    result = op.step(octet::str("with_", argument), code, {result, op.numbers(argument, values, std::nullopt)}, sizes);
  }
  give_as_given(op, result);
}

}  // namespace octet::lowering
