#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "octet/kernels/pending_gradient.h"
#include "octet/support/api.h"

namespace octet {

/// The numbers of a 2-D convolution, height before width.
struct ConvGeometry {
  std::array<int64_t, 2> stride{1, 1};
  std::array<int64_t, 2> padding{0, 0};
  std::array<int64_t, 2> dilation{1, 1};
  int64_t groups = 1;
};

/// An image kept as the integers of its grid: the values are (q - zero_point) * scale. Padding is the value 0.
struct Int8Image {
  at::Tensor q;  ///< int8 [N, C, H, W], channels last
  float scale = 1;
  int32_t zero_point = 0;
};

/// conv2d(x, weight, bias) of x [N, C, H, W] and weight [O, C / groups, kh, kw]; `bias` [O] or undefined. Float32 on
/// the CPU in channels last runs on octet's kernels where they are the faster ones (depthwise, 1x1, few input
/// channels); all else on at::convolution. The result is channels last where x is. No autograd: these three are what a
/// backward calls.
OCTET_API at::Tensor conv_forward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                  const ConvGeometry& geometry);

/// Gradient of x [input_sizes], `gradient` being that of the result.
OCTET_API at::Tensor conv_backward_input(const at::Tensor& gradient, at::IntArrayRef input_sizes,
                                         const at::Tensor& weight, const ConvGeometry& geometry);

/// Gradient of the weight [weight_sizes].
OCTET_API at::Tensor conv_backward_weight(const at::Tensor& gradient, const at::Tensor& x, at::IntArrayRef weight_sizes,
                                          const ConvGeometry& geometry);
/// Of the filters `chosen` alone, int64 in rising order: the others' is neither computed nor read, and zero in the
/// result.
OCTET_API at::Tensor conv_backward_chosen(const at::Tensor& gradient, const at::Tensor& x, at::IntArrayRef weight_sizes,
                                          const ConvGeometry& geometry, const at::Tensor& chosen);
/// The same as conv_backward_weight of an image of integers, which are read as they lie: a quarter of the traffic.
OCTET_API at::Tensor conv_backward_weight(const at::Tensor& gradient, const Int8Image& x, at::IntArrayRef weight_sizes,
                                          const ConvGeometry& geometry);

/// The result of conv_forward in another way; nullopt where that does not do this time.
using ComputeForward = std::function<std::optional<at::Tensor>()>;

/// conv_forward with a gradient: what a graph calls. The weight's is that of the filters `trained` alone
/// (conv_backward_chosen), where that is defined. `forward` is asked first, where there is one. `pending`: the result
/// is read by one normalize_round alone, which is given the same.
OCTET_API at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            const ConvGeometry& geometry, const at::Tensor& trained = {},
                            const ComputeForward& forward = {},
                            const c10::intrusive_ptr<PendingGradient>& pending = {});

}  // namespace octet
