#pragma once

#include <ATen/core/Tensor.h>

#include "octet/support/api.h"

namespace octet {

/// Signal to quantization noise in dB: 20 * log10(|x| / |x - y|), `x` the signal, `y` its approximation; infinite where
/// they are equal. Throws octet::Error for different shapes.
OCTET_API double compute_error(const at::Tensor& x, const at::Tensor& y);

}  // namespace octet
