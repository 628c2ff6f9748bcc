#include "octet/integer/rows.h"

#include <algorithm>

#include "octet/integer/kernel_table.h"

namespace octet::integer {
namespace {

using tflite::Model;
using tflite::OpCode;
using tflite::Operator;
using tflite::Tensor;
using tflite::Type;

const Tensor& operand(const Model& model, int32_t index) { return model.tensors[static_cast<size_t>(index)]; }

bool is_layer(const Model& model, const Operator& op) {
  if (op.code != OpCode::kFullyConnected || op.inputs.size() < 2 || op.inputs[0] < 0) return false;
  return operand(model, op.inputs[0]).type == Type::kInt8 && !operand(model, op.inputs[0]).is_constant &&
         std::all_of(op.inputs.begin() + 1, op.inputs.end(),
                     [&](int32_t input) { return input < 0 || operand(model, input).is_constant; });
}

// Of values of one shape, none of them constant.
bool is_of_like_values(const Model& model, const Operator& op) {
  const KernelRow* row = kernel_table().find(op.code);
  if (row == nullptr || !row->elementwise || op.outputs.size() != 1) return false;
  const std::vector<int64_t>& shape = operand(model, op.outputs[0]).shape;
  return std::all_of(op.inputs.begin(), op.inputs.end(), [&](int32_t input) {
    return input >= 0 && !operand(model, input).is_constant && operand(model, input).shape == shape;
  });
}

}  // namespace

bool works_by_rows(const Model& model) {
  if (model.inputs.empty() || operand(model, model.inputs[0]).shape.size() != 2) return false;
  const std::vector<int64_t>& first = operand(model, model.inputs[0]).shape;
  const bool all_of_as_many_rows = std::all_of(model.tensors.begin(), model.tensors.end(), [&](const Tensor& tensor) {
    return tensor.is_constant || (tensor.shape.size() == 2 && tensor.shape[0] == first[0]);
  });
  if (!all_of_as_many_rows || first[0] < 1) return false;
  bool has_layers = false;
  for (const Operator& op : model.operators) {
    const bool layer = is_layer(model, op);
    if (!layer && !is_of_like_values(model, op)) return false;
    has_layers = has_layers || layer;
  }
  return has_layers;
}

Model with_rows(const Model& model, int64_t times) {
  Model wide = model;
  for (Tensor& tensor : wide.tensors) {
    if (!tensor.is_constant) tensor.shape[0] *= times;
  }
  return wide;
}

}  // namespace octet::integer
