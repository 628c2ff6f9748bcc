#pragma once

#include <algorithm>
#include <cstdint>

/// What TFLite's paddings mean, along one axis of an image.
namespace octet::tflite {

/// Elements from the first to the last that a window reads.
inline int64_t window_reach(int64_t filter, int64_t dilation) { return (filter - 1) * dilation + 1; }

/// Places of a window over `in` elements: with SAME padding, and with VALID.
inline int64_t same_places(int64_t in, int64_t stride) { return (in + stride - 1) / stride; }
inline int64_t valid_places(int64_t in, int64_t reach, int64_t stride) {
  return in < reach ? 0 : (in - reach) / stride + 1;
}

struct AxisPadding {
  int64_t before = 0, after = 0;
};
/// What SAME puts around `in` elements so that windows have `out` places. Of a transposed convolution `in` is its
/// result and `out` its image.
inline AxisPadding same_padding(int64_t in, int64_t out, int64_t reach, int64_t stride) {
  const int64_t total = std::max<int64_t>((out - 1) * stride + reach - in, 0);
  return {total / 2, total - total / 2};
}

}  // namespace octet::tflite
