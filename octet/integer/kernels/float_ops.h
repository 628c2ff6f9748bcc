#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "octet/integer/kernel.h"

namespace octet::integer {

/// From an operator's inputs to its output. Inputs that are no float32 (axes, sizes) are undefined tensors.
using FloatFunction = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

/// The activation that is computed with the operator.
at::Tensor activated(const at::Tensor& x, tflite::Activation activation);

/// The operator's bias, if it has one: throws octet::Error where there isn't one number a channel.
void require_bias(const KernelContext& context, size_t index, int64_t channels);
at::Tensor bias_of(const std::vector<at::Tensor>& inputs, size_t index);

FloatFunction float_convolution(const KernelContext& context);
FloatFunction float_depthwise_convolution(const KernelContext& context);
FloatFunction float_transposed_convolution(const KernelContext& context);
FloatFunction float_pool(const KernelContext& context);
FloatFunction float_resize(const KernelContext& context);

}  // namespace octet::integer
