#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
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
FloatFunction float_reduction(const KernelContext& context);
FloatFunction float_resize(const KernelContext& context);

}  // namespace octet::integer
