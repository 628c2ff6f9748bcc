#include "octet/integer/steps.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "octet/integer/grid.h"

namespace octet::integer {
namespace {

using tflite::OpCode;
using tflite::Operator;
using tflite::Tensor;
using tflite::Type;

const Tensor& tensor_at(const tflite::Model& model, int32_t index) { return model.tensors[static_cast<size_t>(index)]; }

// Reads its first input through a window, and nothing else from it.
bool frames_its_image(const Operator& op, int32_t image) {
  const bool has_window = op.code == OpCode::kConv2d || op.code == OpCode::kDepthwiseConv2d;
  return has_window && op.options.padding == tflite::Padding::kValid && !op.inputs.empty() && op.inputs[0] == image &&
         std::count(op.inputs.begin(), op.inputs.end(), image) == 1;
}

// Of a PAD of int8 images that adds rows and columns of the zero point.
std::optional<Frame> frame_of(const tflite::Model& model, const Operator& op) {
  if (op.code != OpCode::kPad && op.code != OpCode::kPadV2) return std::nullopt;
  if (op.inputs.size() != (op.code == OpCode::kPad ? 2 : 3) || op.outputs.size() != 1) return std::nullopt;
  const Tensor& image = tensor_at(model, op.inputs[0]);
  const Tensor& padded = tensor_at(model, op.outputs[0]);
  const Tensor& sizes = tensor_at(model, op.inputs[1]);
  const std::optional<Grid> grid = grid_of(image), padded_grid = grid_of(padded);
  if (image.type != Type::kInt8 || padded.type != Type::kInt8 || !grid || !padded_grid) return std::nullopt;
  if (grid->scale != padded_grid->scale || grid->zero_point != padded_grid->zero_point) return std::nullopt;
  constexpr size_t kRank = 4;
  const bool is_table = sizes.is_constant && sizes.type == Type::kInt32 && sizes.data.size() == 2 * kRank * 4;
  if (image.shape.size() != kRank || padded.shape.size() != kRank || !is_table) return std::nullopt;
  int32_t sides[kRank][2];
  std::memcpy(sides, sizes.data.data(), sizeof(sides));
  for (size_t d = 0; d < kRank; ++d) {
    const int64_t before = sides[d][0], after = sides[d][1];
    const bool may_grow = d == 1 || d == 2;
    if (before < 0 || after < 0 || (!may_grow && before + after != 0)) return std::nullopt;
    if (image.shape[d] < 1 || padded.shape[d] != image.shape[d] + before + after) return std::nullopt;
  }
  if (op.code == OpCode::kPadV2) {
    const Tensor& value = tensor_at(model, op.inputs[2]);
    const bool is_known = value.is_constant && value.type == Type::kInt8 && value.data.size() == 1 && grid_of(value);
    if (!is_known || static_cast<int8_t>(value.data[0]) != grid->zero_point) return std::nullopt;
    if (grid_of(value)->scale != grid->scale || grid_of(value)->zero_point != grid->zero_point) return std::nullopt;
  }
  return Frame{sides[1][0], sides[1][1], sides[2][0], sides[2][1]};
}

}  // namespace

std::vector<Step> steps_of(const tflite::Model& model) {
  // By tensor: a PAD that makes it, as long as nothing but windows was seen to read it.
  std::vector<const Operator*> pads(model.tensors.size(), nullptr);
  for (const Operator& op : model.operators) {
    if (frame_of(model, op)) pads[static_cast<size_t>(op.outputs[0])] = &op;
  }
  for (const Operator& op : model.operators) {
    for (const int32_t input : op.inputs) {
      if (input >= 0 && !frames_its_image(op, input)) pads[static_cast<size_t>(input)] = nullptr;
    }
  }
  for (const int32_t output : model.outputs) pads[static_cast<size_t>(output)] = nullptr;
  std::vector<Step> steps;
  for (const Operator& op : model.operators) {
    if (!op.outputs.empty() && pads[static_cast<size_t>(op.outputs[0])] == &op) continue;
    Step step{op, {}};
    const Operator* pad = op.inputs.empty() || op.inputs[0] < 0 ? nullptr : pads[static_cast<size_t>(op.inputs[0])];
    if (pad != nullptr) {
      step.frame = *frame_of(model, *pad);
      step.op.inputs[0] = pad->inputs[0];
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

tflite::Model outline(const tflite::Model& model, const std::vector<Step>& steps) {
  tflite::Model result;
  for (const Tensor& tensor : model.tensors) {
    result.tensors.push_back({tensor.name, tensor.type, tensor.shape, {}, tensor.is_constant, {}});
  }
  for (const Step& step : steps) result.operators.push_back(step.op);
  result.inputs = model.inputs;
  result.outputs = model.outputs;
  return result;
}

}  // namespace octet::integer
