#pragma once

#include <ATen/core/Tensor.h>

#include "octet/support/api.h"

namespace octet {

/// Signal to quantization noise in dB: 20 * log10(|x| / |x - y|), `x` the signal, `y` its approximation; infinite where
/// they are equal. Infinite elements of `x` have no noise and are left out: count_infinities() tells of them. Throws
/// octet::Error for different shapes.
OCTET_API double compute_error(const at::Tensor& x, const at::Tensor& y);

/// Elements of `x` that are infinite.
OCTET_API int64_t count_infinities(const at::Tensor& x);

}  // namespace octet
