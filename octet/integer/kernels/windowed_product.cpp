#include "octet/integer/kernels/windowed_product.h"

#include <cstring>

#include "octet/integer/gemm.h"
#include "octet/kernels/parallel.h"

namespace octet::integer {
namespace {

// Windows whose rows are short, on a path that fills each of them up: laid side by side they are far fewer products.
bool is_better_side_by_side(const PathOps& ops, int64_t segments, int64_t products) {
  const int64_t whole = ops.depth_group * ops.groups_at_once;
  const auto filled = [&](int64_t depth) { return (depth + whole - 1) / whole * whole; };
  return 2 * segments * filled(products / segments) > 3 * filled(products);
}

// A window's segments one behind the other, in copies of 16 bytes: up to 15 bytes more are read and written.
template <int kCopies>
void lay_side_by_side(const uint8_t* from, const std::vector<int64_t>& segments, int64_t bytes, uint8_t* to) {
  constexpr int64_t kAtOnce = 16;
  for (const int64_t segment : segments) {
    const int64_t copies = kCopies > 0 ? kCopies : (bytes + kAtOnce - 1) / kAtOnce;
    for (int64_t i = 0; i < copies; ++i) std::memcpy(to + i * kAtOnce, from + segment + i * kAtOnce, kAtOnce);
    to += bytes;
  }
}

void lay_side_by_side(const uint8_t* from, const std::vector<int64_t>& segments, int64_t bytes, uint8_t* to) {
  if (bytes <= 16) return lay_side_by_side<1>(from, segments, bytes, to);
  if (bytes <= 32) return lay_side_by_side<2>(from, segments, bytes, to);
  lay_side_by_side<0>(from, segments, bytes, to);
}

// An image, or several, taken in bands of the result's rows: each packs the rows that it covers and multiplies them.
class WindowedProduct {
 public:
  WindowedProduct(const KernelContext& context, const Window& window, const Requantizer& requantize)
      : window_(window),
        image_(window, path_ops(context.path), static_cast<int8_t>(context.zero_point(context.input(0)))),
        segments_(segments_of(window, image_)),
        is_side_by_side_(is_better_side_by_side(PackedWeights::ops_of(context.path, products(), window.out_channels),
                                                segment_count(), products())),
        segments_of_row_(is_side_by_side_ ? std::vector<int64_t>{0} : segments_),
        packed_(context.path, constant_weights(context), window.out_channels,
                static_cast<int64_t>(segments_of_row_.size()),
                products() / static_cast<int64_t>(segments_of_row_.size())),
        table_(requantize.table(packed_.sums(), context.zero_point(context.input(0)) + packed_.ops().activation_shift,
                                products(), packed_.magnitudes())),
        band_(image_.rows_in_band()) {}

  void run(const int8_t* x, int8_t* y) const {
    const int64_t rows = window_.batches * window_.h.out, channels = window_.out_channels;
    const int64_t operations = rows * window_.w.out * products() * channels;
    const int64_t few = 2 * packed_.ops().row_block * threads();
    if (rows * window_.w.out < few && channels > kStrip) {
      const int64_t strips = (channels + kStrip - 1) / kStrip;
      for_parts(strips, operations, [&](int64_t begin, int64_t end) {
        run_part(x, y, 0, rows, begin * kStrip, std::min(end * kStrip, channels));
      });
      return;
    }
    // Whole tiles, where pixels are rows.
    const int64_t unit = window_.w.out == 1 ? packed_.ops().row_block : 1;
    for_parts(
        rows, operations, [&](int64_t begin, int64_t end) { run_part(x, y, begin, end, 0, channels); }, unit);
  }

 private:
  int64_t segment_count() const { return static_cast<int64_t>(segments_.size()); }
  int64_t products() const { return window_.h.filter * window_.w.filter * window_.channels; }

  // Rows begin to end of all images' results, channels first to last.
  void run_part(const int8_t* x, int8_t* y, int64_t begin, int64_t end, int64_t first, int64_t last) const {
    const auto& [h, w, batches, channels, out_channels] = window_;
    const int64_t most = std::min({band_, h.out, end - begin});
    const int64_t laid_bytes = is_side_by_side_ ? packed_.row_bytes() : 0;
    const int64_t all_laid = std::min(kMostRowsAtATime, most * w.out) * laid_bytes + kReadAhead;
    uint8_t* laid = own_memory(all_laid + ((most - 1) * h.stride + h.reach()) * image_.row_bytes() + kReadAhead);
    uint8_t* framed = laid + all_laid;
    for (int64_t row = begin; row < end;) {
      const int64_t oy = row % h.out, count = std::min({band_, end - row, h.out - oy});
      image_.pack_rows(x + row / h.out * h.in * w.in * channels, oy * h.stride, (oy + count - 1) * h.stride + h.reach(),
                       framed);
      const auto levels_of = [&](const auto& row_at) {
        packed_.levels(0, count * w.out, first, last, row_at, segments_of_row_, table_, y + row * w.out * out_channels,
                       out_channels);
      };
      // Row by row, pixel by pixel: without a division for each.
      auto place = [&, at = framed, x = int64_t{0}, line = framed](int64_t) mutable -> const uint8_t* {
        const uint8_t* here = at;
        at += w.stride * image_.pixel_bytes();
        if (++x == w.out) {
          x = 0;
          line += h.stride * image_.row_bytes();
          at = line;
        }
        return here;
      };
      if (is_side_by_side_) {
        levels_of([&, place](int64_t i) mutable {
          uint8_t* const to = laid + i % kMostRowsAtATime * laid_bytes;
          lay_side_by_side(place(i), segments_, products() / segment_count() * packed_.ops().activation_bytes, to);
          return to;
        });
      } else if (w.out == 1) {
        levels_of([&](int64_t i) { return framed + i * h.stride * image_.row_bytes(); });
      } else {
        levels_of(place);
      }
      row += count;
    }
  }

  Window window_;
  PackedImage image_;
  std::vector<int64_t> segments_;
  bool is_side_by_side_;
  std::vector<int64_t> segments_of_row_;
  PackedWeights packed_;
  Requantization table_;
  int64_t band_;  // rows of the result
};

}  // namespace

Kernel make_windowed_product(const KernelContext& context, const Window& window, const Requantizer& requantize) {
  const auto product = std::make_shared<WindowedProduct>(context, pixels_as_rows(window), requantize);
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) { product->run(x, y); });
}

}  // namespace octet::integer
