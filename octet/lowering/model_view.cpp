#include "octet/lowering/model_view.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "octet/lowering/layout.h"

namespace octet::lowering {

using tflite::Operator;
using tflite::Tensor;

const Operator* producer(const tflite::Model& model, int32_t tensor) {
  for (const Operator& op : model.operators) {
    if (std::find(op.outputs.begin(), op.outputs.end(), tensor) != op.outputs.end()) return &op;
  }
  return nullptr;
}

Operator* producer(tflite::Model& model, int32_t tensor) {
  return const_cast<Operator*>(producer(std::as_const(model), tensor));
}

int64_t readers(const tflite::Model& model, int32_t tensor) {
  int64_t count = 0;
  for (const Operator& op : model.operators) count += std::count(op.inputs.begin(), op.inputs.end(), tensor);
  return count;
}

bool is_output(const tflite::Model& model, int32_t tensor) {
  return std::find(model.outputs.begin(), model.outputs.end(), tensor) != model.outputs.end();
}

void replace_reads(tflite::Model& model, int32_t from, int32_t to) {
  for (Operator& op : model.operators) std::replace(op.inputs.begin(), op.inputs.end(), from, to);
}

std::vector<int64_t> integers_of(const Tensor& tensor) {
  std::vector<int64_t> values;
  for (size_t at = 0; at + sizeof(int32_t) <= tensor.data.size(); at += sizeof(int32_t)) {
    int32_t value = 0;
    std::memcpy(&value, tensor.data.data() + at, sizeof value);
    values.push_back(value);
  }
  return values;
}

std::vector<uint8_t> bytes_of(const std::vector<int64_t>& int32_values) {
  std::vector<uint8_t> bytes(int32_values.size() * sizeof(int32_t));
  for (size_t i = 0; i < int32_values.size(); ++i) {
    const auto value = static_cast<int32_t>(int32_values[i]);
    std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
  }
  return bytes;
}

Tensor transposed_constant(const Tensor& tensor, const std::vector<int64_t>& order) {
  Tensor result = tensor;
  result.shape = reordered(tensor.shape, order);
  if (tensor.quantization.scale.size() > 1) {
    const auto place = std::find(order.begin(), order.end(), tensor.quantization.axis);
    result.quantization.axis = static_cast<int32_t>(place - order.begin());
  }
  // Only the size of an element matters.
  const int64_t size = tflite::type_size(tensor.type);
  const at::ScalarType type = size == 1 ? at::kChar : size == 2 ? at::kShort : size == 4 ? at::kInt : at::kLong;
  const at::Tensor moved =
      at::from_blob(const_cast<uint8_t*>(tensor.data.data()), tensor.shape, type).permute(order).contiguous();
  std::memcpy(result.data.data(), moved.data_ptr(), result.data.size());
  return result;
}

}  // namespace octet::lowering
