#include "octet/formats/tflite_versions.h"

#include <algorithm>

namespace octet::tflite {

int32_t lowest_version(const Model& model, const Operator& op) {
  const auto tensor = [&](size_t index) -> const Tensor* {
    return index < op.inputs.size() && op.inputs[index] >= 0 ? &model.tensors[static_cast<size_t>(op.inputs[index])]
                                                             : nullptr;
  };
  const Tensor* first = tensor(op.code == OpCode::kTransposeConv ? 2 : 0);
  const bool is_int8 = first != nullptr && first->type == Type::kInt8;
  const size_t rank = first != nullptr ? first->shape.size() : 0;
  const Options& options = op.options;
  switch (op.code) {
    case OpCode::kConv2d: {
      const bool is_grouped =
          first != nullptr && tensor(1) != nullptr && first->shape.back() != tensor(1)->shape.back();
      return is_grouped ? 6 : is_int8 ? 3 : 1;
    }
    case OpCode::kDepthwiseConv2d:
      return is_int8 ? 3 : options.dilation_h != 1 || options.dilation_w != 1 ? 2 : 1;
    case OpCode::kFullyConnected:
      return op.inputs.size() < 3 ? 6 : options.keep_num_dims ? 5 : is_int8 ? 4 : 1;
    case OpCode::kTransposeConv:
      return options.activation != Activation::kNone ? 4 : tensor(3) != nullptr ? 3 : is_int8 ? 2 : 1;
    case OpCode::kMul: {
      if (!is_int8) return 1;
      const Tensor* other = tensor(1);
      const Tensor& output = model.tensors[static_cast<size_t>(op.outputs.front())];
      const double factor = static_cast<double>(first->quantization.scale.front()) *
                            static_cast<double>(other->quantization.scale.front()) /
                            static_cast<double>(output.quantization.scale.front());
      return factor >= 1.0 ? 3 : 2;
    }
    case OpCode::kResizeBilinear:
      return options.half_pixel_centers ? 3 : is_int8 ? 2 : 1;
    case OpCode::kResizeNearestNeighbor:
      return options.align_corners || options.half_pixel_centers ? 3 : is_int8 ? 2 : 1;
    case OpCode::kPad:
      return rank > 4 ? 4 : is_int8 ? 2 : 1;
    case OpCode::kSub:
      return rank > 4 ? 3 : is_int8 ? 2 : 1;
    case OpCode::kTranspose:
      return rank > 5 ? 6 : rank > 4 ? 4 : is_int8 ? 2 : 1;
    case OpCode::kSlice:
      return rank > 4 ? 5 : is_int8 ? 2 : 1;
    case OpCode::kDequantize:
      return is_int8 ? 2 : 1;
    case OpCode::kReshape:
    case OpCode::kSqueeze:
    case OpCode::kExpandDims:
    case OpCode::kReluN1To1:
    case OpCode::kRelu0To1:
    case OpCode::kPrelu:
    case OpCode::kNeg:
    case OpCode::kLeakyRelu:
    case OpCode::kHardSwish:
    case OpCode::kQuantize:
      return 1;
    default:
      return is_int8 ? 2 : 1;
  }
}

}  // namespace octet::tflite
