#include "octet/lowering/fuse.h"

#include <array>
#include <cstring>
#include <limits>
#include <optional>

#include "octet/formats/tflite_padding.h"

namespace octet::lowering {

using tflite::Activation;
using tflite::OpCode;

namespace {

std::optional<Activation> fused_form(OpCode code) {
  switch (code) {
    case OpCode::kRelu:
      return Activation::kRelu;
    case OpCode::kRelu6:
      return Activation::kRelu6;
    case OpCode::kReluN1To1:
      return Activation::kReluN1To1;
    default:
      return std::nullopt;
  }
}

// CONCATENATION and TRANSPOSE_CONV have the field, but not every runtime's kernel does.
bool takes_activation(OpCode code) {
  switch (code) {
    case OpCode::kConv2d:
    case OpCode::kDepthwiseConv2d:
    case OpCode::kFullyConnected:
    case OpCode::kAdd:
    case OpCode::kSub:
    case OpCode::kMul:
    case OpCode::kAveragePool2d:
    case OpCode::kMaxPool2d:
      return true;
    default:
      return false;
  }
}

}  // namespace

void fuse_activations(Program& program) {
  for (const OperatorId id : program.order()) {
    const Program::Operator& op = program.at(id);
    const std::optional<Activation> form = fused_form(op.code);
    if (!form) continue;
    const ValueId value = op.inputs[0], result = op.outputs[0];
    const OperatorId before = program.producer(value);
    if (before == kNoOperator || !takes_activation(program.at(before).code) ||
        program.at(before).options.activation != Activation::kNone || program.read_count(value) != 1 ||
        program.is_output(value)) {
      continue;
    }
    const Program::Value& from = program.at(value);
    const Program::Value& to = program.at(result);
    if (from.type != to.type || from.quantization != to.quantization) continue;
    program.options(before).activation = *form;
    program.erase(id);
    program.set_output(before, 0, result);
  }
}

namespace {

// What the padding puts around the image, where that is an image with nothing around its channels and samples.
std::optional<std::array<tflite::AxisPadding, 2>> padding_of(const Program& program, OperatorId pad) {
  const Program::Value& amounts = program.at(program.at(pad).inputs[1]);
  if (!amounts.constant || program.at(program.at(pad).outputs[0]).shape.size() != 4) return std::nullopt;
  const std::vector<int64_t> by = program.integers_of(program.at(pad).inputs[1]);
  if (by.size() != 8 || by[0] != 0 || by[1] != 0 || by[6] != 0 || by[7] != 0) return std::nullopt;
  return std::array<tflite::AxisPadding, 2>{{{by[2], by[3]}, {by[4], by[5]}}};
}

// Zero as SAME of a convolution has it, or what a maximum never takes.
bool fills_as_same(const Program& program, OperatorId pad, bool is_maximum) {
  const Program::Operator& op = program.at(pad);
  const Program::Value& image = program.at(op.inputs[0]);
  const std::optional<Grid> grid = image.grid();
  const bool zero_is_lowest = grid && grid->zero_point == tflite::level_range(grid->type)->low;
  if (op.code == OpCode::kPad) return !is_maximum || zero_is_lowest;
  const Program::Value& filler = program.at(op.inputs[2]);
  if (!is_maximum || !filler.constant || filler.constant->empty()) return false;
  if (!grid) {
    float number = 0.0F;
    if (filler.constant->size() < sizeof number) return false;
    std::memcpy(&number, filler.constant->data(), sizeof number);
    return number <= std::numeric_limits<float>::lowest();
  }
  return grid->is_int8() && static_cast<int8_t>(filler.constant->front()) == -128;
}

}  // namespace

void fuse_paddings(Program& program) {
  for (const OperatorId id : program.order()) {
    const Program::Operator& op = program.at(id);
    const bool is_maximum = op.code == OpCode::kMaxPool2d;
    if (op.code != OpCode::kConv2d && op.code != OpCode::kDepthwiseConv2d && !is_maximum) continue;
    const ValueId padded = op.inputs[0];
    const OperatorId pad = program.producer(padded);
    if (op.options.padding != tflite::Padding::kValid || pad == kNoOperator || program.read_count(padded) != 1 ||
        program.is_output(padded) || (program.at(pad).code != OpCode::kPad && program.at(pad).code != OpCode::kPadV2)) {
      continue;
    }
    const auto by = padding_of(program, pad);
    const ValueId image = program.at(pad).inputs[0];
    if (!by || !fills_as_same(program, pad, is_maximum) || program.at(image).type != program.at(padded).type) continue;
    const std::vector<int64_t>& in = program.at(image).shape;
    const std::vector<int64_t>& out = program.at(op.outputs[0]).shape;
    const std::vector<int64_t> kernel =
        is_maximum ? std::vector<int64_t>{1, op.options.filter_h, op.options.filter_w} : program.at(op.inputs[1]).shape;
    const std::array<int64_t, 2> stride = {op.options.stride_h, op.options.stride_w};
    const std::array<int64_t, 2> dilation = {op.options.dilation_h, op.options.dilation_w};
    bool is_same = kernel.size() >= 3;
    for (size_t d = 0; is_same && d < 2; ++d) {
      const int64_t reach = tflite::window_reach(kernel[d + 1], is_maximum ? 1 : dilation[d]);
      const tflite::AxisPadding same = tflite::same_padding(in[d + 1], out[d + 1], reach, stride[d]);
      is_same = out[d + 1] == tflite::same_places(in[d + 1], stride[d]) && same.before == (*by)[d].before &&
                same.after <= (*by)[d].after;
    }
    if (!is_same) continue;
    program.options(id).padding = tflite::Padding::kSame;
    program.set_input(id, 0, image);
  }
}

}  // namespace octet::lowering
