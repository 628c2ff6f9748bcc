#include "octet/formats/tflite_versions.h"

#include "octet/formats/tflite_ops.h"

namespace octet::tflite {

int32_t lowest_version(const Model& model, const Operator& op) {
  const OpFacts* facts = find_op(static_cast<int32_t>(op.code));
  return facts == nullptr ? 1 : facts->version({model, op});
}

const Tensor* OperatorUse::input(size_t index) const {
  return index < op.inputs.size() && op.inputs[index] >= 0 ? &model.tensors[static_cast<size_t>(op.inputs[index])]
                                                           : nullptr;
}

namespace {

bool holds_int8(const Tensor* tensor) { return tensor != nullptr && tensor->type == Type::kInt8; }

// More dimensions than the first versions take.
int32_t by_rank(const OperatorUse& use, size_t most, int32_t version) {
  return use.rank() > most ? version : versions::two_for_int8(use);
}

}  // namespace

bool OperatorUse::is_int8() const { return holds_int8(input(0)); }

size_t OperatorUse::rank() const {
  const Tensor* first = input(0);
  return first == nullptr ? 0 : first->shape.size();
}

namespace versions {

int32_t one(const OperatorUse&) { return 1; }

int32_t two(const OperatorUse&) { return 2; }

int32_t two_for_int8(const OperatorUse& use) { return use.is_int8() ? 2 : 1; }

int32_t convolution(const OperatorUse& use) {
  const Tensor* image = use.input(0);
  const Tensor* weight = use.input(1);
  const bool is_grouped = image != nullptr && weight != nullptr && image->shape.back() != weight->shape.back();
  return is_grouped ? 6 : use.is_int8() ? 3 : 1;
}

int32_t depthwise(const OperatorUse& use) {
  const Options& options = use.op.options;
  return use.is_int8() ? 3 : options.dilation_h != 1 || options.dilation_w != 1 ? 2 : 1;
}

int32_t transposed(const OperatorUse& use) {
  const bool has_activation = use.op.options.activation != Activation::kNone;
  return has_activation ? 4 : use.input(3) != nullptr ? 3 : holds_int8(use.input(2)) ? 2 : 1;
}

int32_t fully_connected(const OperatorUse& use) {
  return use.op.inputs.size() < 3 ? 6 : use.op.options.keep_num_dims ? 5 : use.is_int8() ? 4 : 1;
}

int32_t product(const OperatorUse& use) {
  if (!use.is_int8()) return 1;
  const Tensor& output = use.model.tensors[static_cast<size_t>(use.op.outputs.front())];
  const auto scale = [](const Tensor& of) { return static_cast<double>(of.quantization.scale.front()); };
  return scale(*use.input(0)) * scale(*use.input(1)) / scale(output) >= 1.0 ? 3 : 2;
}

int32_t bilinear(const OperatorUse& use) { return use.op.options.half_pixel_centers ? 3 : two_for_int8(use); }

int32_t nearest(const OperatorUse& use) {
  const Options& options = use.op.options;
  return options.align_corners || options.half_pixel_centers ? 3 : two_for_int8(use);
}

int32_t padding(const OperatorUse& use) { return by_rank(use, 4, 4); }

int32_t difference(const OperatorUse& use) { return by_rank(use, 4, 3); }

int32_t transpose(const OperatorUse& use) { return use.rank() > 5 ? 6 : by_rank(use, 4, 4); }

int32_t slice(const OperatorUse& use) { return by_rank(use, 4, 5); }

}  // namespace versions

}  // namespace octet::tflite
