#include <cmath>

#include "octet/integer/kernels/resize.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;

std::vector<int64_t> nearest_places(const tflite::Options& options, int64_t in, int64_t out) {
  const bool aligned = options.align_corners;
  const float scale = aligned && out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                                         : static_cast<float>(in) / static_cast<float>(out);
  const float offset = options.half_pixel_centers ? 0.5F : 0.0F;
  std::vector<int64_t> places;
  for (int64_t to = 0; to < out; ++to) {
    const float at = (static_cast<float>(to) + offset) * scale;
    const auto from = static_cast<int64_t>(aligned ? std::round(at) : std::floor(at));
    places.push_back(std::max<int64_t>(0, std::min(from, in - 1)));
  }
  return places;
}

Kernel make_resize(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_images({&input, &output});
  context.require_same_grid(input, output);
  const int64_t in_h = input.shape[1], in_w = input.shape[2], channels = input.shape[3], batches = input.shape[0];
  const int64_t out_h = output.shape[1], out_w = output.shape[2];
  if (output.shape[0] != batches || output.shape[3] != channels || in_h < 1 || in_w < 1) {
    context.fail("samples and channels", octet::str(batches, ", ", channels),
                 octet::str(output.shape[0], ", ", output.shape[3]));
  }
  if (out_h < 1 || out_w < 1) context.fail("output size", "at least 1, 1", octet::str(out_h, ", ", out_w));
  const bool aligned = context.op.options.align_corners;
  const bool half_pixels = context.op.options.half_pixel_centers;
  if (context.op.code == OpCode::kResizeNearestNeighbor) {
    const std::vector<int64_t> rows = nearest_places(context.op.options, in_h, out_h);
    const std::vector<int64_t> columns = nearest_places(context.op.options, in_w, out_w);
    return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) {
      for (int64_t n = 0; n < batches; ++n) {
        for (const int64_t row : rows) {
          for (const int64_t column : columns) {
            const int8_t* from = x + ((n * in_h + row) * in_w + column) * channels;
            y = std::copy(from, from + channels, y);
          }
        }
      }
    });
  }
  // Positions and weights with 10 bits behind the point.
  struct Point {
    int64_t low, high;  // neighbours
    int32_t weight;     // of the high one
  };
  const auto points = [=](int64_t in_size, int64_t out_size) {
    constexpr int64_t kOne = 1 << 10;
    const int64_t scale = aligned && out_size > 1 ? (kOne * (in_size - 1) + (out_size - 1) / 2) / (out_size - 1)
                                                  : (kOne * in_size + out_size / 2) / out_size;
    std::vector<Point> result;
    for (int64_t to = 0; to < out_size; ++to) {
      const int64_t at = half_pixels ? to * scale + scale / 2 - kOne / 2 : to * scale;
      const int64_t low = std::max<int64_t>(at / kOne, 0);
      const int64_t high = std::min((at + kOne - 1) / kOne, in_size - 1);
      result.push_back({std::min(low, in_size - 1), std::max<int64_t>(high, 0), static_cast<int32_t>(at - kOne * low)});
    }
    return result;
  };
  const std::vector<Point> rows = points(in_h, out_h);
  const std::vector<Point> columns = points(in_w, out_w);
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) {
    for (int64_t n = 0; n < batches; ++n) {
      for (const Point& row : rows) {
        for (const Point& column : columns) {
          const auto at = [&](int64_t r, int64_t c) { return x + ((n * in_h + r) * in_w + c) * channels; };
          const int8_t* corners[] = {at(row.low, column.low), at(row.low, column.high), at(row.high, column.low),
                                     at(row.high, column.high)};
          const int64_t low_row = 1024 - row.weight, low_column = 1024 - column.weight;
          const int64_t weights[] = {low_row * low_column, low_row * column.weight, row.weight * low_column,
                                     static_cast<int64_t>(row.weight) * column.weight};
          for (int64_t c = 0; c < channels; ++c) {
            int64_t sum = 0;
            for (int k = 0; k < 4; ++k) sum += corners[k][c] * weights[k];
            const int64_t half = sum > 0 ? int64_t{1} << 19 : -(int64_t{1} << 19);
            *y++ = static_cast<int8_t>((sum + half) / (int64_t{1} << 20));
          }
        }
      }
    }
  });
}

}  // namespace octet::integer
