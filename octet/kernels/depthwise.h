#pragma once

#include <cstdint>
#include <functional>

namespace octet {

/// A depthwise convolution of `images` images in channels last, one filter a channel.
struct DepthwiseShape {
  int64_t images, channels;
  int64_t in_height, in_width, out_height, out_width;
  int64_t filter_height, filter_width;
  int64_t stride_height, stride_width;
  int64_t padding_height, padding_width;
  int64_t dilation_height, dilation_width;

  int64_t taps() const { return filter_height * filter_width; }
};

/// y from x; `weight` and the gradient's sums lie tap by tap, [taps][channels]. `bias` may be null.
void depthwise_forward(const DepthwiseShape& shape, const float* x, const float* weight, const float* bias, float* y);
/// The gradient of x from that of y.
void depthwise_backward_input(const DepthwiseShape& shape, const float* y, const float* weight, float* x);
/// The gradient of the weight, overwritten.
void depthwise_backward_weight(const DepthwiseShape& shape, const float* x, const float* y, float* weight);
/// The same of x as integers, in units of their step.
void depthwise_backward_weight(const DepthwiseShape& shape, const int8_t* x, int32_t zero_point, const float* y,
                               float* weight);

/// Writes line `index`, of those of all images, of the gradient of y.
using MakeLines = std::function<void(int64_t index, float* to)>;
/// Both gradients in one walk along that of y, which exists a few lines at a time alone; each line is made once or,
/// where two threads' parts meet, twice. To the bit what the two functions above give. For large images
/// (is_walked_once).
void depthwise_backward(const DepthwiseShape& shape, const float* x, const float* weight, const MakeLines& lines,
                        float* x_gradient, float* weight_gradient);
bool is_walked_once(const DepthwiseShape& shape);

}  // namespace octet
