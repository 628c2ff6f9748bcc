#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <type_traits>
#include <vector>

#include "octet/integer/kernel.h"

namespace octet::integer {

/// From an operator's inputs to its output. Inputs that are no float32 (axes, sizes) are undefined tensors.
using FloatFunction = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

/// Looks at an operator and gives its function. Throws octet::Error where its shapes do not fit.
using MakeFloat = std::function<FloatFunction(const KernelContext& context)>;

/// Functions of one input, of its shape; of two inputs that broadcast, with the operator's activation.
MakeFloat of_one(std::function<at::Tensor(const at::Tensor& x)> function);
MakeFloat with_options(at::Tensor (*function)(const at::Tensor& x, const tflite::Options& how));
MakeFloat of_two(at::Tensor (*function)(const at::Tensor& a, const at::Tensor& b));

struct KernelRow;
/// Arithmetic on float32: what a program leaves between DEQUANTIZE and QUANTIZE.
Kernel make_float(const KernelContext& context, const KernelRow& row);

/// Kernel of a function of an operator's inputs, each a tensor of its type; the one at `skipped` is undefined.
Kernel make_of_tensors(const KernelContext& context, FloatFunction function, size_t skipped = SIZE_MAX);
/// Throws octet::Error where these inputs do not broadcast to the output's shape.
void require_broadcast(const KernelContext& context, std::initializer_list<size_t> inputs);

/// a + b, of whole numbers without the trap of an overflow.
template <typename Number>
Number wrapping_plus(Number a, Number b) {
  if constexpr (std::is_integral_v<Number>) {
    using Wrapping = std::make_unsigned_t<Number>;
    return static_cast<Number>(static_cast<Wrapping>(a) + static_cast<Wrapping>(b));
  } else {
    return a + b;
  }
}
/// a / b rounded down, and what is left of a then: of floats, and of whole numbers.
at::Tensor floor_division(const at::Tensor& a, const at::Tensor& b);
at::Tensor floor_remainder(const at::Tensor& a, const at::Tensor& b);

/// The activation that is computed with the operator.
at::Tensor activated(const at::Tensor& x, tflite::Activation activation);

/// The operator's bias, if it has one: throws octet::Error where there isn't one number a channel.
void require_bias(const KernelContext& context, size_t index, int64_t channels);
at::Tensor bias_of(const std::vector<at::Tensor>& inputs, size_t index);

FloatFunction float_fully_connected(const KernelContext& context);
FloatFunction float_batch_matmul(const KernelContext& context);
FloatFunction float_convolution(const KernelContext& context);
FloatFunction float_depthwise_convolution(const KernelContext& context);
FloatFunction float_transposed_convolution(const KernelContext& context);
FloatFunction float_pool(const KernelContext& context);
FloatFunction float_reduction(const KernelContext& context);
FloatFunction float_resize(const KernelContext& context);

}  // namespace octet::integer
