#include "octet/lowering/program.h"

#include <cstring>

#include "octet/support/error.h"

namespace octet::lowering {

using tflite::Type;

int32_t Program::add(tflite::Tensor tensor) {
  std::string name = tensor.name;
  for (int64_t suffix = 1; !names_.insert(name).second; ++suffix) name = octet::str(tensor.name, "_", suffix);
  tensor.name = name;
  model_.tensors.push_back(std::move(tensor));
  return static_cast<int32_t>(model_.tensors.size()) - 1;
}

int32_t Program::value(const std::string& name, std::vector<int64_t> shape, const std::optional<Grid>& grid) {
  tflite::Tensor tensor;
  tensor.name = name;
  tensor.type = grid ? Type::kInt8 : Type::kFloat32;
  tensor.shape = std::move(shape);
  if (grid) tensor.quantization = {{grid->scale}, {grid->zero_point}, 0};
  return add(std::move(tensor));
}

int32_t Program::constant(const std::string& name, const Constant& constant) {
  const at::Tensor values = constant.values.contiguous();
  tflite::Tensor tensor;
  tensor.name = name;
  switch (values.scalar_type()) {
    case at::kChar:
      tensor.type = Type::kInt8;
      break;
    case at::kInt:
      tensor.type = Type::kInt32;
      break;
    case at::kFloat:
      tensor.type = Type::kFloat32;
      break;
    default:
      throw expected(name, "type of a constant", "int8, int32 or float32", c10::toString(values.scalar_type()));
  }
  tensor.shape = values.sizes().vec();
  tensor.quantization = constant.quantization;
  tensor.is_constant = true;
  tensor.data.resize(values.nbytes());
  if (!tensor.data.empty()) std::memcpy(tensor.data.data(), values.data_ptr(), tensor.data.size());
  return add(std::move(tensor));
}

int32_t Program::integers(const std::string& name, const std::vector<int64_t>& values) {
  return integers(name, values, {static_cast<int64_t>(values.size())});
}

int32_t Program::integers(const std::string& name, const std::vector<int64_t>& values,
                          const std::vector<int64_t>& shape) {
  at::Tensor numbers = at::empty(shape, at::kInt);
  auto* out = numbers.data_ptr<int32_t>();
  for (const int64_t value : values) {
    if (value != static_cast<int32_t>(value)) throw expected(name, "index", "within int32", std::to_string(value));
    *out++ = static_cast<int32_t>(value);
  }
  return constant(name, {numbers, {}});
}

void Program::emit(tflite::OpCode code, std::vector<int32_t> inputs, std::vector<int32_t> outputs,
                   const tflite::Options& options) {
  tflite::Operator op;
  op.code = code;
  op.inputs = std::move(inputs);
  op.outputs = std::move(outputs);
  op.options = options;
  model_.operators.push_back(std::move(op));
}

std::optional<Grid> Program::grid(int32_t index) const {
  const tflite::Tensor& found = tensor(index);
  if (found.type != Type::kInt8 || found.quantization.scale.size() != 1) return std::nullopt;
  return Grid{found.quantization.scale.front(), found.quantization.zero_point.front()};
}

}  // namespace octet::lowering
