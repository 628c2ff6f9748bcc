#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "octet/support/api.h"

namespace octet {

/// int8 levels of a tensor in one pass:
///
///     q = clip(round_half_even(x * (1 / scale)) + zero_point, quant_min, quant_max)
///
/// all in float32, in x's layout; 1 / scale is computed in double. Undefined where that takes ATen's operators: x no
/// dense float32 tensor in this memory, OCTET_REFERENCE=1.
OCTET_API at::Tensor levels_of(const at::Tensor& x, double scale, int64_t zero_point, int64_t quant_min,
                               int64_t quant_max);

/// The same with a scale and a zero point for each of x.size(0), 1 / scale in float32. Undefined also where dimension 0
/// is not the outermost, scales are not float32 or zero points not int64.
OCTET_API at::Tensor levels_of_rows(const at::Tensor& x, const at::Tensor& scales, const at::Tensor& zero_points,
                                    int64_t quant_min, int64_t quant_max);

}  // namespace octet
