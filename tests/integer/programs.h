#pragma once

#include <ATen/ATen.h>

#include <cstring>

#include "octet/formats/tflite.h"

namespace octet::test {

inline at::Tensor integers(std::vector<int32_t> values) { return at::tensor(values, at::TensorOptions(at::kInt)); }

/// A program of one operator, its inputs added in order.
class Program {
 public:
  explicit Program(tflite::OpCode code) { op_.code = code; }

  tflite::Options& options() { return op_.options; }

  /// A value that is given to the program, of the shape and the type of `like`.
  void input(const at::Tensor& like, tflite::Quantization quantization = {}) {
    model_.inputs.push_back(add(like.sizes().vec(), type_of(like), std::move(quantization)));
    op_.inputs.push_back(model_.inputs.back());
  }
  void constant(const at::Tensor& values, tflite::Quantization quantization = {}) {
    op_.inputs.push_back(add(values.sizes().vec(), type_of(values), std::move(quantization)));
    tflite::Tensor& tensor = model_.tensors.back();
    const at::Tensor dense = values.contiguous();
    tensor.is_constant = true;
    tensor.data.resize(dense.nbytes());
    if (!tensor.data.empty()) std::memcpy(tensor.data.data(), dense.const_data_ptr(), dense.nbytes());
  }
  void absent() { op_.inputs.push_back(-1); }
  void output(std::vector<int64_t> shape, tflite::Type type, tflite::Quantization quantization = {}) {
    model_.outputs.push_back(add(std::move(shape), type, std::move(quantization)));
    op_.outputs.push_back(model_.outputs.back());
  }

  tflite::Model model() const {
    tflite::Model whole = model_;
    whole.operators = {op_};
    return whole;
  }

 private:
  static tflite::Type type_of(const at::Tensor& values) {
    switch (values.scalar_type()) {
      case at::kFloat:
        return tflite::Type::kFloat32;
      case at::kHalf:
        return tflite::Type::kFloat16;
      case at::kInt:
        return tflite::Type::kInt32;
      case at::kLong:
        return tflite::Type::kInt64;
      default:
        return tflite::Type::kInt8;
    }
  }
  int32_t add(std::vector<int64_t> shape, tflite::Type type, tflite::Quantization quantization) {
    tflite::Tensor tensor;
    tensor.name = "t" + std::to_string(model_.tensors.size());
    tensor.type = type;
    tensor.shape = std::move(shape);
    tensor.quantization = std::move(quantization);
    model_.tensors.push_back(std::move(tensor));
    return static_cast<int32_t>(model_.tensors.size() - 1);
  }

  tflite::Model model_;
  tflite::Operator op_;
};

}  // namespace octet::test
