#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "octet/kernels/reference_path.h"
#include "octet/support/api.h"

namespace octet {

/// Rounds `x` to the grid of `scale` and `zero_point` and back:
///
///     q = clip(round_half_even(x * (1 / scale)) + zero_point, quant_min, quant_max);   y = (q - zero_point) * scale
///
/// All in float32, 1 / scale correctly rounded: to the bit what quantized_decomposed's quantize and dequantize give.
/// The gradient passes where q before clipping lies in [quant_min, quant_max], bounds included (straight through).
/// Registered as `octet::fake_quantize`.
///
/// `x`: any shape and layout; half types are computed in float32. `scale`: float32, `zero_point`: int64 or float32, of
/// one element with `axis` -1, of x.size(axis) elements otherwise. The result has x's layout where x is dense.
OCTET_API at::Tensor fake_quantize(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                                   int64_t axis, int64_t quant_min, int64_t quant_max);

/// The same by plain ATen operators and autograd: the oracle of the fused kernel, and the path of every other device.
OCTET_API at::Tensor fake_quantize_reference(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                                             int64_t axis, int64_t quant_min, int64_t quant_max);

/// A bound as float32, moved towards 0 where the nearest float lies outside: int32's 2^31 - 1 becomes 2^31 - 128, so
/// that the clipped value always fits its type.
OCTET_API float float_bound(int64_t bound);

/// A dense tensor's memory as one contiguous row, without a copy; other tensors are made contiguous first. For
/// reductions that don't care for order: channels-last tensors need no permutation.
OCTET_API at::Tensor flat_memory(const at::Tensor& x);

/// Smallest and largest element, 0-dim float32 each, one pass over memory in its own order. `x` must not be empty.
OCTET_API std::pair<at::Tensor, at::Tensor> min_max(const at::Tensor& x);

}  // namespace octet
