#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>

#include "octet/kernels/pending_gradient.h"
#include "octet/support/api.h"

/// What stands behind a product in training, in as few passes over memory as there can be: BatchNorm, an activation
/// that clips, a fake quantizer; or a sum in the place of the BatchNorm. All are differentiable, to any order.
namespace octet {

/// An activation; the gradient passes between the bounds, at the bounds themselves only where `ends_pass`.
struct ClippingActivation {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  bool ends_pass = false;
};

/// The one grid of a tensor (fake_quantize_kernel.h).
struct RoundingGrid {
  float scale = 1;
  int64_t zero_point = 0;
  int64_t quant_min = -128;
  int64_t quant_max = 127;
  bool is_none = false;  ///< values, all beyond 2^23, pass as they are: of an observer that none of them counts for
};

/// Chooses the grid, once the range of what will be rounded is known.
struct ChooseGrid {
  /// Least and greatest value, NaN where one of the values is. `values` computes them all, for an observer that wants
  /// to see more.
  std::function<RoundingGrid(float low, float high, const std::function<at::Tensor()>& values)> choose;
  bool by_range = true;  ///< false: the range is not read, and not computed where that takes a pass
};

/// BatchNorm with the statistics of the batch. Undefined gamma and beta stand for 1 and 0; the running statistics move
/// as at::batch_norm moves them.
struct BatchNormParameters {
  at::Tensor gamma;
  at::Tensor beta;
  at::Tensor running_mean;
  at::Tensor running_var;
  double momentum = 0.1;
  double eps = 1e-5;
};

/// True for float32 tensors on the CPU with elements, laid out densely: what the functions below take.
bool takes_fused(const at::Tensor& x);

/// fake_quantize(clip(batch_norm(x))) in two reads of x, which is [samples, channels, ...], and a write. With
/// `gives_up_x` the caller is the last who knows x, and its memory becomes that of its gradient; with `pending` x is
/// the result of conv2d, which was given the same.
OCTET_API at::Tensor normalize_round(const at::Tensor& x, const BatchNormParameters& norm,
                                     const ClippingActivation& activation, const ChooseGrid& choose,
                                     bool gives_up_x = false, const c10::intrusive_ptr<PendingGradient>& pending = {});

/// fake_quantize(clip(a + b)); an undefined b is none.
OCTET_API at::Tensor sum_round(const at::Tensor& a, const at::Tensor& b, const ClippingActivation& activation,
                               const ChooseGrid& choose);

}  // namespace octet
