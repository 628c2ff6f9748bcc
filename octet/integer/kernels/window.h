#pragma once

#include <cstdint>

#include "octet/integer/kernel.h"

namespace octet::integer {

/// One axis of a window that slides over an image: position o covers the pixels o * stride - before + f * dilation.
struct Axis {
  int64_t in, out, filter, stride, dilation, before;
  /// Pixels that lack behind the image.
  int64_t after() const { return std::max<int64_t>((out - 1) * stride + (filter - 1) * dilation + 1 - before - in, 0); }
};

/// An image, the window that slides over it, and the result.
struct Window {
  Axis h, w;
  int64_t batches, channels, out_channels;
  int64_t pixels() const { return h.out * w.out; }  ///< of one result
};

/// Window of CONV_2D and DEPTHWISE_CONV_2D: the filter's size is that of the weight. Throws octet::Error where shapes,
/// or the types of input, weight and output, do not fit.
Window convolution_window(const KernelContext& context, tflite::Type type = tflite::Type::kInt8);
/// Window of AVERAGE_POOL_2D and MAX_POOL_2D.
Window pool_window(const KernelContext& context, tflite::Type type = tflite::Type::kInt8);
/// Window of TRANSPOSE_CONV, seen from the image: pixel i covers i * stride - before + f of the result.
Window transposed_window(const KernelContext& context, tflite::Type type = tflite::Type::kInt8);

}  // namespace octet::integer
