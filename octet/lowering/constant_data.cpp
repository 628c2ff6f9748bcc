#include "octet/lowering/constant_data.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>

#include "octet/lowering/layout.h"
#include "octet/support/error.h"

namespace octet::lowering {

std::vector<int64_t> integers_of(const std::vector<uint8_t>& bytes) {
  std::vector<int64_t> values;
  for (size_t at = 0; at + sizeof(int32_t) <= bytes.size(); at += sizeof(int32_t)) {
    int32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
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

ConstantData permuted(const ConstantData& constant, const std::vector<int64_t>& order) {
  ConstantData result = constant;
  result.shape = reordered(constant.shape, order);
  if (constant.quantization.scale.size() > 1) {
    const auto place = std::find(order.begin(), order.end(), constant.quantization.axis);
    result.quantization.axis = static_cast<int32_t>(place - order.begin());
  }
  // Only the size of an element matters.
  const int64_t size = tflite::type_size(constant.type);
  const at::ScalarType type = size == 1 ? at::kChar : size == 2 ? at::kShort : size == 4 ? at::kInt : at::kLong;
  const at::Tensor moved =
      at::from_blob(const_cast<uint8_t*>(constant.data.data()), constant.shape, type).permute(order).contiguous();
  if (!result.data.empty()) std::memcpy(result.data.data(), moved.const_data_ptr(), result.data.size());
  return result;
}

tflite::Type type_of(at::ScalarType type, const std::string& name) {
  switch (type) {
    case at::kChar:
      return tflite::Type::kInt8;
    case at::kByte:
      return tflite::Type::kUInt8;
    case at::kShort:
      return tflite::Type::kInt16;
    case at::kInt:
      return tflite::Type::kInt32;
    case at::kLong:
      return tflite::Type::kInt64;
    case at::kBool:
      return tflite::Type::kBool;
    case at::kFloat:
      return tflite::Type::kFloat32;
    default:
      throw expected(name, "type of a constant", "int8, uint8, int16, int32, int64, bool or float32",
                     c10::toString(type));
  }
}

tflite::Type type_without_grid(at::ScalarType type, const std::string& name) {
  return at::isFloatingType(type) ? tflite::Type::kFloat32 : type_of(type, name);
}

}  // namespace octet::lowering
