#include "octet/kernels/window_gradient.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "octet/kernels/float_path.h"
#include "octet/kernels/line_floats.h"
#include "octet/kernels/parallel.h"

namespace octet {
namespace {

constexpr int64_t kStripFloats = 4 << 10;    // of a strip of x, which stays in the first cache
constexpr int64_t kPackedFloats = 48 << 10;  // of y beside it, in the second
constexpr int64_t kThreadProducts = 1 << 17;
constexpr int64_t kOwnSums = 1 << 16;  // floats that each thread sums for itself, at most

int64_t parts_of(int64_t count, int64_t size) { return (count + size - 1) / size; }

// Sums windows of x times y. Lines of y's pixels are packed tile of filters by tile; of x, a strip of channels of all
// the rows that these lines read, framed by zeros. Each tap reads the strip at its own offset; with a stride, pixels
// lie by phase, so that neighbours of y read neighbours.
class WindowSums {
 public:
  WindowSums(const WindowShape& shape, int64_t images, int64_t filters, const float* x, const float* y)
      : s_(shape),
        all_filters_(filters),
        x_(x),
        y_(y),
        strip_(2 * float_path().lanes),
        phases_(s_.stride_width),
        // Pixels of one phase of a row.
        pitch_(s_.out_width + ((s_.filter_width - 1) * s_.dilation_width) / s_.stride_width),
        row_(phases_ * pitch_ * strip_) {
    lines_ = std::clamp<int64_t>(kStripFloats / strip_ / s_.out_width, 1, images * s_.out_height);
    const int64_t rows = float_path().rows;
    filters_ = std::max<int64_t>(1, kPackedFloats / (lines_ * s_.out_width) / rows) * rows;
  }

  // Lines [begin, end) of all images, filters [first, last).
  void run(int64_t begin, int64_t end, int64_t first, int64_t last, float* sums) const {
    const FloatPath& path = float_path();
    const int64_t filters = std::min(filters_, last - first);
    const LineFloats left = line_floats(parts_of(filters, path.rows) * path.rows * lines_ * s_.out_width);
    const LineFloats right = line_floats(lines_ * window_height() * row_);
    std::vector<int64_t> offsets(static_cast<size_t>(lines_));
    for (int64_t at = begin; at < end; at += lines_) {
      const int64_t lines = std::min(lines_, end - at);
      for (int64_t o = first; o < last; o += filters) {
        const int64_t count = std::min(filters, last - o);
        pack_left(at, lines, o, count, left.get());
        for (int64_t c = 0; c < s_.channels; c += strip_) {
          pack_right(at, lines, c, right.get(), offsets);
          for (int64_t i = 0; i < count; i += path.rows) {
            add(left.get() + i * lines * s_.out_width, right.get(), offsets, lines, o + i,
                std::min<int64_t>(path.rows, count - i), c, at > begin, sums);
          }
        }
      }
    }
  }

 private:
  int64_t window_height() const { return (s_.filter_height - 1) * s_.dilation_height + 1; }

  void add(const float* left, const float* right, const std::vector<int64_t>& offsets, int64_t lines, int64_t o,
           int64_t rows, int64_t c, bool adds, float* sums) const {
    const FloatPath& path = float_path();
    const int64_t filter_floats = s_.floats();
    for (int64_t kh = 0; kh < s_.filter_height; ++kh) {
      for (int64_t kw = 0; kw < s_.filter_width; ++kw) {
        const int64_t reach = kw * s_.dilation_width;
        const int64_t column = (reach % phases_ * pitch_ + reach / phases_) * strip_;
        path.sum_tile({.a = left,
                       .b = right + kh * s_.dilation_height * row_ + column,
                       .line_offsets = offsets.data(),
                       .lines = lines,
                       .width = s_.out_width,
                       .c = sums + o * filter_floats + (kh * s_.filter_width + kw) * s_.channels + c,
                       .c_row = filter_floats,
                       .rows = static_cast<int>(rows),
                       .columns = std::min(strip_, s_.channels - c),
                       .adds = adds});
      }
    }
  }

  template <int kFilters>
  static float* pack_pixels(const float* pixel, int64_t step, int64_t pixels, int64_t rows, float* to) {
    for (int64_t p = 0; p < pixels; ++p, pixel += step, to += rows) std::memcpy(to, pixel, kFilters * sizeof(float));
    return to;
  }

  // A tile's filters side by side, pixel by pixel.
  void pack_left(int64_t at, int64_t lines, int64_t first, int64_t count, float* to) const {
    const int64_t rows = float_path().rows;
    const int64_t pixels = lines * s_.out_width;
    const float* from = y_ + at * s_.out_width * all_filters_ + first;
    for (int64_t i = 0; i < count; i += rows) {
      constexpr decltype(&pack_pixels<1>) kPack[] = {pack_pixels<1>, pack_pixels<2>, pack_pixels<3>, pack_pixels<4>,
                                                     pack_pixels<5>, pack_pixels<6>, pack_pixels<7>, pack_pixels<8>};
      to = kPack[std::min(rows, count - i) - 1](from + i, all_filters_, pixels, rows, to);
    }
  }

  // Channels [c, c + strip) of the rows that lines read, phase by phase; `offsets` are where each line's first row is.
  void pack_right(int64_t at, int64_t lines, int64_t c, float* to, std::vector<int64_t>& offsets) const {
    float* const start = to;
    int64_t image = -1;
    int64_t next = 0;  // row of this image that comes next
    for (int64_t line = 0; line < lines; ++line) {
      const int64_t top = (at + line) % s_.out_height * s_.stride_height - s_.padding_height;
      if ((at + line) / s_.out_height != image || top > next) {
        image = (at + line) / s_.out_height;
        next = top;
      }
      offsets[static_cast<size_t>(line)] = to - start - (next - top) * row_;
      for (; next < top + window_height(); ++next, to += row_) pack_row(image, next, c, to);
    }
  }

  void pack_row(int64_t image, int64_t row, int64_t c, float* to) const {
    if (row < 0 || row >= s_.in_height) {
      std::fill(to, to + row_, 0.0F);
      return;
    }
    const float* from = x_ + (image * s_.in_height + row) * s_.in_width * s_.channels + c;
    const int64_t count = std::min(strip_, s_.channels - c);
    for (int64_t phase = 0; phase < phases_; ++phase) {
      for (int64_t t = 0; t < pitch_; ++t, to += strip_) {
        const int64_t w = t * phases_ + phase - s_.padding_width;
        const bool inside = w >= 0 && w < s_.in_width;
        if (inside && count == strip_) {
          std::copy(from + w * s_.channels, from + w * s_.channels + strip_, to);
          continue;
        }
        if (inside) std::copy(from + w * s_.channels, from + w * s_.channels + count, to);
        std::fill(to + (inside ? count : 0), to + strip_, 0.0F);
      }
    }
  }

  const WindowShape& s_;
  int64_t all_filters_;
  const float* x_;
  const float* y_;
  int64_t strip_, phases_, pitch_, row_;
  int64_t lines_ = 1;    // of a block
  int64_t filters_ = 1;  // of one
};

}  // namespace

void window_gradient(const WindowShape& shape, int64_t images, int64_t filters, const float* x, const float* y,
                     float* weight) {
  const WindowSums sums(shape, images, filters, x, y);
  const int64_t count = filters * shape.floats();
  const int64_t lines = images * shape.out_height;
  const int64_t pixels = lines * shape.out_width;
  const int64_t parts = count > kOwnSums ? 1 : std::min(parts_of_sum(pixels, count), lines);
  if (parts == 1) {  // each thread has its own filters
    const int64_t rows = float_path().rows;
    const int64_t tiles = parts_of(filters, rows);
    const int64_t shares =
        std::clamp<int64_t>(pixels * count / kThreadProducts, 1, std::min<int64_t>(threads(), tiles));
    const auto first = [&](int64_t share) { return std::min(filters, tiles * share / shares * rows); };
    parallel_for(0, shares, 1, [&](int64_t begin, int64_t end) {
      for (int64_t share = begin; share < end; ++share) sums.run(0, lines, first(share), first(share + 1), weight);
    });
    return;
  }
  std::vector<LineFloats> own(static_cast<size_t>(parts));
  parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      float* to = weight;
      if (part > 0) {
        own[static_cast<size_t>(part)] = line_floats(count);
        to = own[static_cast<size_t>(part)].get();
      }
      sums.run(lines * part / parts, lines * (part + 1) / parts, 0, filters, to);
    }
  });
  for (int64_t part = 1; part < parts; ++part) {
    const float* from = own[static_cast<size_t>(part)].get();
    for (int64_t i = 0; i < count; ++i) weight[i] += from[i];
  }
}

}  // namespace octet
