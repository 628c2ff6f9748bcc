#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "octet/support/api.h"

/// The way of a weight through the BatchNorm behind it and a fake quantizer: what some forty operators compute of small
/// tensors, in one read to scale and one to round, and one backward.
namespace octet {

/// f = gamma / sqrt(variance + eps), a number an output channel. An undefined gamma is 1; one nearer to 0 than
/// `least_gamma` is taken as that, with its sign, and has no gradient.
struct WeightScaling {
  at::Tensor gamma;
  at::Tensor variance;
  double eps = 1e-5;
  double least_gamma = 0;
  bool divides = false;  ///< the rounded weight is divided by f
};

/// The factor f, float32 [channels].
OCTET_API at::Tensor weight_factor(const WeightScaling& scaling);

/// A weight times f, before it is rounded.
struct ScaledWeight {
  at::Tensor values;
  at::Tensor factor;
  at::Tensor low;  ///< of each channel; NaN both where one of its values is no finite number
  at::Tensor high;
};
/// One grid, or one a channel: float32 scales, zero points of any type.
struct WeightGrid {
  at::Tensor scale;
  at::Tensor zero_point;
  int64_t quant_min = -128;
  int64_t quant_max = 127;
  bool is_none = false;  ///< as of RoundingGrid (normalize_round.h)
};
using ChooseWeightGrid = std::function<WeightGrid(const ScaledWeight&)>;

/// True for float32 on the CPU, dense, each index of dimension 0 (the output channels) in one piece, with as many
/// channels in `scaling`: what round_weight() takes.
OCTET_API bool takes_round_weight(const at::Tensor& weight, const WeightScaling& scaling);

/// fake_quantize(weight * f), and divided by f where that is asked for: to the bit of the operators one by one, but for
/// the square root in f, which libtorch takes from MKL (an ulp off on some CPUs). The gradient passes straight through
/// to weight and gamma, as it does through them; to any order.
/// `multiples`, where it is given, becomes the int8 tensor of the weight's shape that says which multiple of its
/// channel's step (the grid's scale, divided by f as the result is) each number of the result is; it stays as it is
/// where there is no grid, or some number is none of -127 to 127.
OCTET_API at::Tensor round_weight(const at::Tensor& weight, const WeightScaling& scaling,
                                  const ChooseWeightGrid& choose, at::Tensor* multiples = nullptr);

}  // namespace octet
