#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/integer/path.h"

namespace octet::integer {

/// Where the values of one run lie: the elements of every tensor of the program, and room for a kernel's own.
class Values {
 public:
  explicit Values(size_t count, uint8_t* scratch = nullptr) : data_(count, nullptr), scratch_(scratch) {}
  void set(int32_t tensor, void* data) { data_[static_cast<size_t>(tensor)] = data; }
  template <typename T>
  T* at(int32_t tensor) const {
    return static_cast<T*>(data_[static_cast<size_t>(tensor)]);
  }
  /// As many bytes as the kernel asked for.
  uint8_t* scratch() const { return scratch_; }

 private:
  std::vector<void*> data_;
  uint8_t* scratch_;
};

/// One operator, ready to run: multipliers, tables and shapes worked out.
class Kernel {
 public:
  template <typename Run>
  Kernel(Run run, int64_t scratch_bytes = 0) : run_(std::move(run)), scratch_bytes_(scratch_bytes) {}

  void operator()(const Values& values) const { run_(values); }
  int64_t scratch_bytes() const { return scratch_bytes_; }

 private:
  std::function<void(const Values&)> run_;
  int64_t scratch_bytes_;
};

/// Rows and columns of the zero point around an image.
struct Frame {
  int64_t top = 0, bottom = 0, left = 0, right = 0;
};

/// What a kernel is made from.
struct KernelContext {
  const tflite::Model& model;
  const tflite::Operator& op;
  bool check_overflow = false;  ///< accumulators that leave int32 are an octet::Error
  Path path = best_path();
  Frame frame = {};  ///< of the image that a convolution's window slides over

  size_t input_count() const { return op.inputs.size(); }
  bool has_input(size_t index) const { return index < op.inputs.size() && op.inputs[index] >= 0; }
  const tflite::Tensor& input(size_t index) const;
  const tflite::Tensor& output(size_t index = 0) const;
  int32_t input_index(size_t index) const { return op.inputs[index]; }
  int32_t output_index(size_t index = 0) const { return op.outputs[index]; }
  /// Scale and zero point of a tensor with one grid. Throw octet::Error for others.
  float scale(const tflite::Tensor& tensor) const;
  int32_t zero_point(const tflite::Tensor& tensor) const;
  /// The levels of a tensor's type. Throws octet::Error where it has none.
  tflite::LevelRange levels(const tflite::Tensor& tensor) const;
  /// Elements of a constant int32 (or int64) input: axes, paddings, sizes.
  std::vector<int64_t> integers(size_t index) const;
  /// "CONV_2D 'features/0'": the operator and its output, for errors.
  std::string where() const;
  [[noreturn]] void fail(const std::string& what, const std::string& wanted, const std::string& got) const;
  void require_type(const tflite::Tensor& tensor, tflite::Type type) const;
  /// int8, uint8 or int16; that with zero point 0.
  void require_levels(const tflite::Tensor& tensor) const;
  /// Four dimensions: NHWC.
  void require_images(std::initializer_list<const tflite::Tensor*> tensors,
                      tflite::Type type = tflite::Type::kInt8) const;
  void require_rank(const tflite::Tensor& tensor, size_t rank) const;
  void require_same_shape(const tflite::Tensor& a, const tflite::Tensor& b) const;
  /// The shape that a constant input names, if it is one, is the output's: -1 stands for any size, and the first one
  /// may be any multiple, as samples come in any number.
  void require_named_shape(size_t index) const;
  void require_same_grid(const tflite::Tensor& a, const tflite::Tensor& b) const;
};

/// Kernel of an operator from its first input to its output: body(x, y).
template <typename From, typename To, typename Body>
Kernel make_from_to(const KernelContext& context, Body body) {
  return [=, in = context.input_index(0), out = context.output_index()](const Values& values) {
    body(values.at<const From>(in), values.at<To>(out));
  };
}

/// Bounds of the output behind the activation that is computed with the operator.
Bounds activation_bounds(const KernelContext& context, tflite::Activation activation);

/// Throws octet::Error for an operator that has no kernel, types that it does not take, and shapes that do not fit.
Kernel make_kernel(const KernelContext& context);

// One function a family, in kernels/; kernel_table.cpp says whose each is.
Kernel make_convolution(const KernelContext& context);
Kernel make_depthwise_convolution(const KernelContext& context);
Kernel make_transposed_convolution(const KernelContext& context);
Kernel make_fully_connected(const KernelContext& context);
Kernel make_batch_matmul(const KernelContext& context);
Kernel make_addition(const KernelContext& context);
Kernel make_multiplication(const KernelContext& context);
Kernel make_extremum(const KernelContext& context);
Kernel make_relu(const KernelContext& context);
Kernel make_relu6(const KernelContext& context);
Kernel make_relu_n1_to_1(const KernelContext& context);
Kernel make_relu_0_to_1(const KernelContext& context);
Kernel make_leaky_relu(const KernelContext& context);
Kernel make_prelu(const KernelContext& context);
Kernel make_logistic(const KernelContext& context);
Kernel make_tanh(const KernelContext& context);
Kernel make_hard_swish(const KernelContext& context);
Kernel make_exp(const KernelContext& context);
Kernel make_log(const KernelContext& context);
Kernel make_rsqrt(const KernelContext& context);
Kernel make_abs(const KernelContext& context);
Kernel make_softmax(const KernelContext& context);
Kernel make_pool(const KernelContext& context);
Kernel make_sum(const KernelContext& context);
Kernel make_reduced_extremum(const KernelContext& context);
Kernel make_concatenation(const KernelContext& context);
Kernel make_reshape(const KernelContext& context);
Kernel make_transpose(const KernelContext& context);
Kernel make_pad(const KernelContext& context);
Kernel make_slice(const KernelContext& context);
Kernel make_strided_slice(const KernelContext& context);
Kernel make_broadcast_to(const KernelContext& context);
Kernel make_block_move(const KernelContext& context);
Kernel make_pack(const KernelContext& context);
Kernel make_gather(const KernelContext& context);
Kernel make_split(const KernelContext& context);
Kernel make_resize(const KernelContext& context);
Kernel make_quantize(const KernelContext& context);
Kernel make_rescale(const KernelContext& context);
Kernel make_dequantize(const KernelContext& context);
Kernel make_cast(const KernelContext& context);
Kernel make_shape(const KernelContext& context);
Kernel make_comparison(const KernelContext& context);
Kernel make_logic(const KernelContext& context);
Kernel make_select(const KernelContext& context);
Kernel make_place_of_extremum(const KernelContext& context);
Kernel make_top_k(const KernelContext& context);
Kernel make_cumulative_sum(const KernelContext& context);
Kernel make_reduced_logic(const KernelContext& context);
Kernel make_tile(const KernelContext& context);
Kernel make_reverse(const KernelContext& context);

}  // namespace octet::integer
