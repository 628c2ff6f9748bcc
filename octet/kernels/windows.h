#pragma once

#include <cstdint>

#include "octet/kernels/float_gemm.h"

namespace octet {

/// What a convolution's windows are taken from: images [channels, in] in channels last, and where they lie.
struct WindowShape {
  int64_t channels;
  int64_t in_height, in_width, out_height, out_width;
  int64_t filter_height, filter_width;
  int64_t stride_height, stride_width;
  int64_t padding_height, padding_width;
  int64_t dilation_height, dilation_width;

  /// Of a window.
  int64_t floats() const { return filter_height * filter_width * channels; }
};

/// The window of each pixel of a convolution's result, [filter_height * filter_width * channels]; padding is 0.
class WindowRows : public RowSource {
 public:
  WindowRows(const WindowShape& shape, const float* x) : shape_(shape), x_(x) {}
  int64_t width() const override { return shape_.floats(); }
  void copy(int64_t row, int64_t rows, int64_t column, int64_t columns, float* to, int64_t to_step) const override;
  Memory memory(int64_t row, int64_t rows) const override;

 private:
  static void copy_line(const float* image, int64_t first, int64_t last, int64_t from, int64_t until, float* to);

  WindowShape shape_;
  const float* x_;
};

}  // namespace octet
