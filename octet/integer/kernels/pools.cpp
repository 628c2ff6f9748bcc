#include <algorithm>

#include "octet/integer/fixed_point.h"
#include "octet/integer/kernels/window.h"
#include "octet/integer/parts.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;

namespace {

// Of an axis: the pixels of the image that a window covers.
struct Rows {
  int64_t begin, end;
};

Rows covered(const Axis& axis, int64_t place) {
  const int64_t begin = place * axis.stride - axis.before;
  return {std::max<int64_t>(begin, 0), std::min(begin + axis.filter, axis.in)};
}

void largest_of(const int8_t* image, int64_t width, Rows rows, Rows columns, int64_t channels, Bounds bounds,
                int8_t* __restrict to) {
  std::fill_n(to, channels, static_cast<int8_t>(-128));
  for (int64_t y = rows.begin; y < rows.end; ++y) {
    const int8_t* from = image + (y * width + columns.begin) * channels;
    for (int64_t x = columns.begin; x < columns.end; ++x, from += channels) {
      for (int64_t c = 0; c < channels; ++c) to[c] = std::max(to[c], from[c]);
    }
  }
  const auto low = static_cast<int8_t>(bounds.low), high = static_cast<int8_t>(bounds.high);
  for (int64_t c = 0; c < channels; ++c) to[c] = std::min(std::max(to[c], low), high);
}

void average_of(const int8_t* image, int64_t width, Rows rows, Rows columns, Bounds bounds, std::vector<int32_t>& cells,
                int8_t* to) {
  const auto channels = static_cast<int64_t>(cells.size());
  std::fill(cells.begin(), cells.end(), 0);
  for (int64_t y = rows.begin; y < rows.end; ++y) {
    const int8_t* from = image + (y * width + columns.begin) * channels;
    for (int64_t x = columns.begin; x < columns.end; ++x, from += channels) {
      for (int64_t c = 0; c < channels; ++c) cells[static_cast<size_t>(c)] += from[c];
    }
  }
  const auto count = static_cast<int32_t>((rows.end - rows.begin) * (columns.end - columns.begin));
  for (int64_t c = 0; c < channels; ++c) {
    int32_t cell = cells[static_cast<size_t>(c)];
    if (count > 0) cell = (cell > 0 ? cell + count / 2 : cell - count / 2) / count;
    to[c] = clamp_int8(cell, bounds.low, bounds.high);
  }
}

}  // namespace

Kernel make_pool(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  const auto [h, w, batches, channels, out_channels] = pool_window(context);
  context.require_same_grid(input, output);
  const Bounds bounds = activation_bounds(context, context.op.options.activation);
  const bool average = context.op.code == OpCode::kAveragePool2d;
  const int64_t operations = batches * h.out * w.out * channels * h.filter * w.filter * (average ? 8 : 2);
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) {
    for_parts(batches * h.out, operations, [&](int64_t begin, int64_t end) {
      std::vector<int32_t> cells(static_cast<size_t>(average ? channels : 0));
      for (int64_t row = begin; row < end; ++row) {
        const Rows rows = covered(h, row % h.out);
        const int8_t* image = x + row / h.out * h.in * w.in * channels;
        int8_t* to = y + row * w.out * channels;
        for (int64_t ox = 0; ox < w.out; ++ox, to += channels) {
          const Rows columns = covered(w, ox);
          if (average) {
            average_of(image, w.in, rows, columns, bounds, cells, to);
          } else {
            largest_of(image, w.in, rows, columns, channels, bounds, to);
          }
        }
      }
    });
  });
}

}  // namespace octet::integer
