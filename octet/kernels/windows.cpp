#include "octet/kernels/windows.h"

#include <algorithm>
#include <cstring>

namespace octet {
namespace {

// Floats side by side, often a few: no call for these.
void copy_piece(const float* from, int64_t count, float* to) {
  constexpr int64_t kStep = 8;
  constexpr int64_t kMany = 64;
  if (count >= kMany) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
  } else if (count < kStep) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
  } else {  // the last step may overlap the one before
    for (int64_t i = 0; i + kStep < count; i += kStep) std::memcpy(to + i, from + i, kStep * sizeof(float));
    std::memcpy(to + count - kStep, from + count - kStep, kStep * sizeof(float));
  }
}

}  // namespace

// Elements [first, last) of a line of windows lie side by side in the image, where taps do: [from, until) of them
// inside of it, all else is 0. `image` is where element 0 would lie.
void WindowRows::copy_line(const float* image, int64_t first, int64_t last, int64_t from, int64_t until, float* to) {
  if (from <= first && last <= until) {
    std::memcpy(to, image + first, static_cast<size_t>(last - first) * sizeof(float));
    return;
  }
  for (int64_t c = first; c < last; ++c) *to++ = c >= from && c < until ? image[c] : 0.0F;
}

void WindowRows::copy(int64_t row, int64_t rows, int64_t column, int64_t columns, float* to, int64_t to_step) const {
  const WindowShape& s = shape_;
  // A piece is what lies side by side: a line of the filter, or one tap where taps are apart.
  const int64_t taps = s.dilation_width == 1 ? s.filter_width : 1;
  const int64_t piece = taps * s.channels;
  const int64_t pieces_of_line = s.filter_width / taps;
  const int64_t end = column + columns;
  const int64_t height = (s.filter_height - 1) * s.dilation_height, width = (s.filter_width - 1) * s.dilation_width;
  const bool is_whole = columns == s.floats();
  int64_t line = row / s.out_width, ox = row % s.out_width;
  for (int64_t r = row; r < row + rows; ++r, ++ox, to += to_step) {
    if (ox == s.out_width) {
      ++line;
      ox = 0;
    }
    const int64_t left = ox * s.stride_width - s.padding_width;
    const int64_t top = line % s.out_height * s.stride_height - s.padding_height;
    const float* image = x_ + line / s.out_height * s.in_height * s.in_width * s.channels;
    if (is_whole && left >= 0 && left + width < s.in_width && top >= 0 && top + height < s.in_height) {
      float* piece_to = to;
      for (int64_t h = top; h <= top + height; h += s.dilation_height) {
        for (int64_t w = left, p = 0; p < pieces_of_line; ++p, w += s.dilation_width, piece_to += piece) {
          copy_piece(image + (h * s.in_width + w) * s.channels, piece, piece_to);
        }
      }
      continue;
    }
    for (int64_t c = column; c < end;) {
      const int64_t p = c / piece;
      const int64_t last = std::min(end, (p + 1) * piece);
      const int64_t h = top + p / pieces_of_line * s.dilation_height;
      const int64_t w = left + p % pieces_of_line * s.dilation_width;
      const bool has_line = h >= 0 && h < s.in_height;
      const int64_t from = has_line ? std::clamp<int64_t>(-w, 0, taps) * s.channels : piece;
      const int64_t until = has_line ? std::clamp<int64_t>(s.in_width - w, 0, taps) * s.channels : piece;
      copy_line(image + (h * s.in_width + w) * s.channels, c - p * piece, last - p * piece, from, until,
                to + (c - column));
      c = last;
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
