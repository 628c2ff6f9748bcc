#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "octet/support/api.h"

namespace octet {

/// int8 levels of a tensor whose grids go along dimension 0:
///
///     q = clip(round_half_even(x * (1 / scale)) + zero_point, quant_min, quant_max)
///
/// all in float32, in x's layout. Undefined where that takes ATen's operators: x no dense float32 tensor in this memory
/// whose dimension 0 is its outermost, scales not float32, zero points not int64, OCTET_REFERENCE=1. One scale and zero
/// point for each of x.size(0).
OCTET_API at::Tensor levels_of_rows(const at::Tensor& x, const at::Tensor& scales, const at::Tensor& zero_points,
                                    int64_t quant_min, int64_t quant_max);

}  // namespace octet
