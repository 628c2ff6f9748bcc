#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>
#include <vector>

#include "octet/quantize/observer.h"

namespace octet {

// The operators `torchao::choose_qparams_affine`, `quantize_affine` and `dequantize_affine` under torchao's own
// schemas, defined when they are first asked for and torchao has not done so (graph/late_operators.h). A grid serves a
// block, a box of `block_size` elements; blocks are counted in row-major order. These are also their C++ names.

namespace affine {

/// The name that files know them by: "torchao".
inline constexpr const char* kNamespace = "torchao";

/// How many blocks stand along each dimension. Throws octet::Error naming `where`: another rank than the value's, a
/// block of nothing, one that does not divide its dimension.
std::vector<int64_t> block_counts(at::IntArrayRef sizes, at::IntArrayRef block_size, const char* where);

/// Minimum and maximum of each block; both of shape block_counts(). `x` has elements.
std::pair<at::Tensor, at::Tensor> block_range(const at::Tensor& x, at::IntArrayRef block_size, const char* where);

/// q = clip(round_half_even(x * (1 / scale)) + zero_point, quant_min, quant_max). `x`: float32, float16 or bfloat16;
/// `scale`, `zero_point`: one a block, in any shape; without a range, that of `dtype`. Throws octet::Error for other
/// types, a range that `dtype` cannot hold, and another number of scales.
at::Tensor quantize(const at::Tensor& x, at::IntArrayRef block_size, const at::Tensor& scale,
                    const std::optional<at::Tensor>& zero_point, at::ScalarType dtype, std::optional<int64_t> quant_min,
                    std::optional<int64_t> quant_max);

/// (q - zero_point) * scale in `output_dtype`. `q`: of type `dtype`.
at::Tensor dequantize(const at::Tensor& q, at::IntArrayRef block_size, const at::Tensor& scale,
                      const std::optional<at::Tensor>& zero_point, at::ScalarType dtype,
                      at::ScalarType output_dtype = at::kFloat);

/// How a grid is chosen.
struct ChoiceOfGrid {
  MappingType mapping = MappingType::kAsymmetric;
  at::ScalarType dtype = at::kChar;
  std::optional<int64_t> quant_min = {};  ///< both or none
  std::optional<int64_t> quant_max = {};
  std::optional<double> eps = {};  ///< the smallest scale; none: the smallest normal number of the value's type
};

/// The grids of a value's own blocks: scale float32, zero point int64, of shape block_counts().
QParams choose_qparams(const at::Tensor& x, at::IntArrayRef block_size, const ChoiceOfGrid& choice);

}  // namespace affine
}  // namespace octet
