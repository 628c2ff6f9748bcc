#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

#include "fuzz/fuzz.h"
#include "octet/formats/tflite.h"
#include "octet/integer/executor.h"

namespace {

using octet::tflite::Model;

using octet::tflite::OpCode;

constexpr int64_t kMaxElements = 1 << 14;  // of a tensor
constexpr int64_t kMaxWork = 1 << 20;      // of a program: roughly its elements and products

bool multiplies(OpCode code) {
  return code == OpCode::kConv2d || code == OpCode::kDepthwiseConv2d || code == OpCode::kTransposeConv ||
         code == OpCode::kFullyConnected || code == OpCode::kBatchMatmul;
}

// Steps of an operator's loops for one element of its output.
int64_t steps(const Model& model, const octet::tflite::Operator& op, const octet::tflite::Tensor& output) {
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

// Whether a run takes milliseconds at most.
bool is_small(const Model& model) {
  for (const octet::tflite::Tensor& tensor : model.tensors) {
    if (tensor.numel() > kMaxElements) return false;
  }
  int64_t work = 0;
  for (const octet::tflite::Operator& op : model.operators) {
    for (const int32_t index : op.outputs) {
      const octet::tflite::Tensor& output = model.tensors[static_cast<size_t>(index)];
      work += output.numel() * steps(model, op, output);
      if (work > kMaxWork) return false;
    }
  }
  return true;
}

}  // namespace

// What the reader lets through is run too, on the file's own bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] {
    const Model model = octet::tflite::read(octet::fuzz::source(octet::fuzz::view(data, size)));
    if (!is_small(model)) return;
    octet::integer::ExecutorOptions options;
    options.check_overflow = size % 2 == 0;
    const octet::integer::Executor executor(model, options);
    std::vector<at::Tensor> inputs;
    for (const int32_t index : executor.model().inputs) {
      const octet::tflite::Tensor& tensor = executor.model().tensors[static_cast<size_t>(index)];
      inputs.push_back(at::zeros(tensor.shape, at::TensorOptions(octet::integer::scalar_type(tensor.type))));
      if (tensor.type == octet::tflite::Type::kBool) continue;
      const size_t bytes = std::min(size, inputs.back().nbytes());
      if (bytes > 0) std::memcpy(inputs.back().mutable_data_ptr(), data, bytes);
    }
    executor.run_dequantized(inputs);
  });
}
