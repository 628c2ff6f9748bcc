#include "octet/integer/kernels/windowed_product.h"

#include "octet/integer/gemm.h"
#include "octet/kernels/parallel.h"

namespace octet::integer {
namespace {

// An image, or several, taken in bands of the result's rows: each packs the rows that it covers and multiplies them.
class WindowedProduct {
 public:
  WindowedProduct(const KernelContext& context, const Window& window, const Requantizer& requantize)
      : window_(window),
        image_(window, path_ops(context.path), static_cast<int8_t>(context.zero_point(context.input(0)))),
        segments_(segments_of(window, image_)),
        packed_(context.path, constant_weights(context), window.out_channels, static_cast<int64_t>(segments_.size()),
                products() / static_cast<int64_t>(segments_.size())),
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
  int64_t products() const { return window_.h.filter * window_.w.filter * window_.channels; }

  // Rows begin to end of all images' results, channels first to last.
  void run_part(const int8_t* x, int8_t* y, int64_t begin, int64_t end, int64_t first, int64_t last) const {
    const auto& [h, w, batches, channels, out_channels] = window_;
    const int64_t most = std::min({band_, h.out, end - begin});
    uint8_t* framed = own_memory(((most - 1) * h.stride + h.reach()) * image_.row_bytes() + kReadAhead);
    for (int64_t row = begin; row < end;) {
      const int64_t oy = row % h.out, count = std::min({band_, end - row, h.out - oy});
      image_.pack_rows(x + row / h.out * h.in * w.in * channels, oy * h.stride, (oy + count - 1) * h.stride + h.reach(),
                       framed);
      int8_t* to = y + row * w.out * out_channels;
      if (w.out == 1) {
        const int64_t step = h.stride * image_.row_bytes();
        packed_.levels(
            0, count, first, last, [&](int64_t i) { return framed + i * step; }, segments_, table_, to, out_channels);
      } else {
        // Row by row, pixel by pixel: without a division for each.
        const auto place = [&, at = framed, x = int64_t{0}, line = framed](int64_t) mutable {
          const uint8_t* here = at;
          at += w.stride * image_.pixel_bytes();
          if (++x == w.out) {
            x = 0;
            line += h.stride * image_.row_bytes();
            at = line;
          }
          return here;
        };
        packed_.levels(0, count * w.out, first, last, place, segments_, table_, to, out_channels);
      }
      row += count;
    }
  }

  Window window_;
  PackedImage image_;
  std::vector<int64_t> segments_;
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
