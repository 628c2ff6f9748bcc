#pragma once
// Runs what the .tflite reader takes.

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/integer/executor.h"

namespace octet::fuzz {

inline constexpr int64_t kMaxElements = 1 << 14;  // of a tensor
inline constexpr int64_t kMaxWork = 1 << 20;      // of a program: roughly its elements and products

inline bool multiplies(tflite::OpCode code) {
  using tflite::OpCode;
  return code == OpCode::kConv2d || code == OpCode::kDepthwiseConv2d || code == OpCode::kTransposeConv ||
         code == OpCode::kFullyConnected || code == OpCode::kBatchMatmul;
}

/// Steps of an operator's loops for one element of its output.
inline int64_t steps(const tflite::Model& model, const tflite::Operator& op, const tflite::Tensor& output) {
  int64_t largest = 1;
  for (const int32_t input : op.inputs) {
    if (input >= 0) largest = std::max(largest, model.tensors[static_cast<size_t>(input)].numel());
  }
  if (multiplies(op.code)) {
    const int64_t channels = output.shape.empty() ? 1 : std::max<int64_t>(1, output.shape.back());
    return std::max<int64_t>(1, largest / channels);
  }
  return std::min(largest, int64_t{op.options.filter_h} * op.options.filter_w);
}

/// Whether a run takes milliseconds at most.
inline bool is_small(const tflite::Model& model) {
  for (const tflite::Tensor& tensor : model.tensors) {
    if (tensor.numel() > kMaxElements) return false;
  }
  int64_t work = 0;
  for (const tflite::Operator& op : model.operators) {
    for (const int32_t index : op.outputs) {
      const tflite::Tensor& output = model.tensors[static_cast<size_t>(index)];
      work += output.numel() * steps(model, op, output);
      if (work > kMaxWork) return false;
    }
  }
  return true;
}

/// A run on inputs filled from these bytes.
inline void run(const tflite::Model& model, std::string_view bytes) {
  if (!is_small(model)) return;
  integer::ExecutorOptions options;
  options.check_overflow = bytes.size() % 2 == 0;
  const integer::Executor executor(model, options);
  std::vector<at::Tensor> inputs;
  for (const int32_t index : executor.model().inputs) {
    const tflite::Tensor& tensor = executor.model().tensors[static_cast<size_t>(index)];
    inputs.push_back(at::zeros(tensor.shape, at::TensorOptions(integer::scalar_type(tensor.type))));
    if (tensor.type == tflite::Type::kBool) continue;
    const size_t count = std::min(bytes.size(), inputs.back().nbytes());
    if (count > 0) std::memcpy(inputs.back().mutable_data_ptr(), bytes.data(), count);
  }
  executor.run_dequantized(inputs);
}

}  // namespace octet::fuzz
