#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace octet {

// The operators `quantized_decomposed::*` under torch's own schemas, defined when they are first asked for and torch's
// Python has not done so (graph/late_operators.h).
// Quantize: q = clip(round_half_even(x * (1 / scale)) + zero_point, quant_min, quant_max); dequantize: (q - zero_point)
// * scale. All in float32; half types are widened first. These are also their C++ names.

namespace decomposed {

/// `x`: float32, float16 or bfloat16. Throws octet::Error for another type, or a range that `dtype` cannot hold.
at::Tensor quantize_per_tensor(const at::Tensor& x, double scale, int64_t zero_point, int64_t quant_min,
                               int64_t quant_max, at::ScalarType dtype);
/// `q`: of type `dtype`. The result is float32, or `out_dtype`.
at::Tensor dequantize_per_tensor(const at::Tensor& q, double scale, int64_t zero_point, int64_t quant_min,
                                 int64_t quant_max, at::ScalarType dtype,
                                 std::optional<at::ScalarType> out_dtype = std::nullopt);
/// `scales`, `zero_points`: one per index of dimension `axis`.
at::Tensor quantize_per_channel(const at::Tensor& x, const at::Tensor& scales, const at::Tensor& zero_points,
                                int64_t axis, int64_t quant_min, int64_t quant_max, at::ScalarType dtype);
at::Tensor dequantize_per_channel(const at::Tensor& q, const at::Tensor& scales,
                                  const std::optional<at::Tensor>& zero_points, int64_t axis, int64_t quant_min,
                                  int64_t quant_max, at::ScalarType dtype,
                                  std::optional<at::ScalarType> out_dtype = std::nullopt);

}  // namespace decomposed
}  // namespace octet
