#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "octet/integer/kernel.h"

namespace octet::integer {

/// One axis of a window that slides over an image: position o covers the pixels o * stride - before + f * dilation.
struct Axis {
  int64_t in, out, filter, stride, dilation, before;
  /// Pixels that lack behind the image.
  int64_t after() const { return std::max<int64_t>((out - 1) * stride + reach() - before - in, 0); }
  /// Pixels from the first to the last that a window covers.
  int64_t reach() const { return (filter - 1) * dilation + 1; }
};

/// An image, the window that slides over it, and the result.
struct Window {
  Axis h, w;
  int64_t batches, channels, out_channels;
  int64_t pixels() const { return h.out * w.out; }  ///< of one result
  /// False where the image with all that the window covers around it is out of all proportion to the image: a dilation
  /// or a filter far beyond its size.
  bool is_reasonable() const {
    const auto framed = [](const Axis& axis) { return static_cast<double>(axis.before + axis.in + axis.after()); };
    return framed(h) * framed(w) <= 64.0 * static_cast<double>(h.in) * static_cast<double>(w.in) + 4096.0;
  }
};

/// An image laid out for a path: packed elements, framed by the zero point as far as the window reaches. What a window
/// covers is found by offsets in bytes alone.
class PackedImage {
 public:
  /// Every channel is repeated `repeats` times. The window must be a reasonable one.
  PackedImage(const Window& window, const PathOps& ops, int8_t zero_point, int64_t repeats = 1);

  int64_t bytes() const { return bytes_; }
  int64_t pixel_bytes() const { return pixel_bytes_; }
  int64_t row_bytes() const { return width_ * pixel_bytes_; }
  /// Rows of the result whose windows cover so little that it stays in the cache while all channels pass by.
  int64_t rows_in_band() const;

  void pack(const int8_t* image, uint8_t* to) const { pack_rows(image, 0, height_, to); }
  /// Rows first to last of the framed image alone; the result's row oy needs those from oy * stride on.
  void pack_rows(const int8_t* image, int64_t first, int64_t last, uint8_t* to) const;
  /// The same, line by line: line_of(y) is asked for each of the image's own lines once, in order.
  void pack_lines(const std::function<const int8_t*(int64_t y)>& line_of, int64_t first, int64_t last,
                  uint8_t* to) const;
  /// From where a window begins to one of its pixels.
  int64_t tap(int64_t fy, int64_t fx) const {
    return fy * window_.h.dilation * row_bytes() + fx * window_.w.dilation * pixel_bytes_;
  }

 private:
  void pack_line(const int8_t* line, uint8_t* to) const;
  /// The frame around what pack(begin, end, to) packs: the image's lines begin to end.
  template <typename Pack>
  void frame(int64_t first, int64_t last, uint8_t* to, const Pack& pack) const;

  Window window_;
  const PathOps* ops_;
  int8_t zero_point_;
  int64_t repeats_, width_, height_, pixel_bytes_, bytes_;
};

/// Rows of a matrix, each a pixel.
Window window_of_rows(int64_t rows, int64_t depth, int64_t out_channels);
/// The window of single pixels that stand side by side, as rows; any other as it is.
Window pixels_as_rows(const Window& window);
/// Bytes from where a window begins to each run of its pixels that lie side by side: its rows, or with dilation each.
std::vector<int64_t> segments_of(const Window& window, const PackedImage& image);

/// Window of CONV_2D and DEPTHWISE_CONV_2D: the filter's size is that of the weight. Throws octet::Error where shapes,
/// or the types of input, weight and output, do not fit.
Window convolution_window(const KernelContext& context, tflite::Type type = tflite::Type::kInt8);
/// Window of AVERAGE_POOL_2D and MAX_POOL_2D.
Window pool_window(const KernelContext& context, tflite::Type type = tflite::Type::kInt8);
/// Window of TRANSPOSE_CONV, seen from the image: pixel i covers i * stride - before + f of the result.
Window transposed_window(const KernelContext& context, tflite::Type type = tflite::Type::kInt8);

}  // namespace octet::integer
