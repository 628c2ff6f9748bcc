#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "octet/kernels/convolution.h"
#include "octet/kernels/normalize_round.h"

namespace octet {

/// A weight that a fake quantizer has rounded.
struct RoundedWeight {
  at::Tensor values;
  at::Tensor steps;  ///< float32 [channels]: what a channel's values are whole multiples of; undefined: not known
  at::Tensor multiples = {};  ///< int8, of the same shape: which; undefined: not known
};

/// True where convolve_in_integers may do better than floats, as far as types and sizes tell.
bool takes_integers(const at::Tensor& x, const RoundingGrid& grid, const RoundedWeight& weight,
                    const ConvGeometry& geometry);

/// conv2d(x, weight, bias), summed in int32 as the device sums, of what takes_integers(); nullopt where x or weight
/// turn out not to lie on their grids, to the bit. No autograd.
std::optional<at::Tensor> convolve_in_integers(const at::Tensor& x, const RoundingGrid& grid,
                                               const RoundedWeight& weight, const at::Tensor& bias,
                                               const ConvGeometry& geometry);

}  // namespace octet
