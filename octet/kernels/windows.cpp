#include "octet/kernels/windows.h"

#include <algorithm>

namespace octet {

void WindowRows::copy(int64_t row, int64_t rows, int64_t column, int64_t columns, float* to, int64_t to_step) const {
  const WindowShape& s = shape_;
  const int64_t end = column + columns;
  for (int64_t r = row; r < row + rows; ++r, to += to_step) {
    const int64_t line = r / s.out_width;
    const int64_t left = r % s.out_width * s.stride_width - s.padding_width;
    const int64_t top = line % s.out_height * s.stride_height - s.padding_height;
    const float* image = x_ + line / s.out_height * s.in_height * s.in_width * s.channels;
    for (int64_t c = column; c < end;) {  // tap by tap
      const int64_t tap = c / s.channels;
      const int64_t last = std::min(end, (tap + 1) * s.channels);
      const int64_t h = top + tap / s.filter_width * s.dilation_height;
      const int64_t w = left + tap % s.filter_width * s.dilation_width;
      const bool inside = h >= 0 && h < s.in_height && w >= 0 && w < s.in_width;
      const float* from = image + (h * s.in_width + w) * s.channels - tap * s.channels;
      for (; c < last; ++c) to[c - column] = inside ? from[c] : 0.0F;
    }
  }
}

RowSource::Memory WindowRows::memory(int64_t row, int64_t rows) const {
  const WindowShape& s = shape_;
  const int64_t line_floats = s.in_width * s.channels;
  const int64_t first = row / s.out_width;
  const int64_t lines = (rows + s.out_width - 1) / s.out_width * s.stride_height;
  const int64_t from = first / s.out_height * s.in_height + first % s.out_height * s.stride_height;
  return {x_ + from * line_floats, lines * line_floats * static_cast<int64_t>(sizeof(float))};
}

}  // namespace octet
