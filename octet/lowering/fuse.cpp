#include "octet/lowering/fuse.h"

#include <optional>

#include "octet/lowering/model_view.h"

namespace octet::lowering {

using tflite::Activation;
using tflite::OpCode;
using tflite::Operator;

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

void fuse_activations(tflite::Model& model) {
  for (Operator& op : model.operators) {
    const std::optional<Activation> form = fused_form(op.code);
    if (!form || op.outputs.empty()) continue;
    const int32_t value = op.inputs[0];
    Operator* before = producer(model, value);
    if (before == nullptr || !takes_activation(before->code) || before->options.activation != Activation::kNone ||
        readers(model, value) != 1 || is_output(model, value)) {
      continue;
    }
    const auto& from = model.tensors[static_cast<size_t>(value)];
    const auto& to = model.tensors[static_cast<size_t>(op.outputs[0])];
    if (from.type != to.type || from.quantization != to.quantization) continue;
    before->options.activation = *form;
    before->outputs = op.outputs;
    op.outputs.clear();
  }
}

}  // namespace octet::lowering
