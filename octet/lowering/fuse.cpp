#include "octet/lowering/fuse.h"

#include <optional>

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

}  // namespace octet::lowering
