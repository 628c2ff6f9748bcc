#include <algorithm>

#include "octet/integer/fixed_point.h"
#include "octet/integer/kernels/window.h"
#include "octet/integer/parts.h"
#include "octet/kernels/multi_isa.h"
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

OCTET_MULTI_ISA(keep_larger, (const int8_t* from, int64_t count, int8_t* __restrict to), (from, count, to), {
  for (int64_t i = 0; i < count; ++i) to[i] = std::max(to[i], from[i]);
})

// Of a line of pixels: to[o], at least -128, takes the largest of those from begins[o] to ends[o].
OCTET_MULTI_ISA(keep_larger_beside,
                (const int8_t* line, const int64_t* begins, const int64_t* ends, int64_t pixels, int64_t channels,
                 Bounds bounds, int8_t* __restrict to),
                (line, begins, ends, pixels, channels, bounds, to), {
                  const auto low = static_cast<int8_t>(bounds.low), high = static_cast<int8_t>(bounds.high);
                  for (int64_t o = 0; o < pixels; ++o, to += channels) {
                    for (int64_t c = 0; c < channels; ++c) to[c] = -128;
                    for (int64_t x = begins[o]; x < ends[o]; ++x) {
                      const int8_t* from = line + x * channels;
                      for (int64_t c = 0; c < channels; ++c) to[c] = std::max(to[c], from[c]);
                    }
                    for (int64_t c = 0; c < channels; ++c) to[c] = std::min(std::max(to[c], low), high);
                  }
                })

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
  std::vector<int64_t> begins, ends;  // of the columns
  for (int64_t ox = 0; ox < w.out; ++ox) {
    const Rows columns = covered(w, ox);
    begins.push_back(columns.begin);
    ends.push_back(columns.end);
  }
  const auto pool_averages = [=](const int8_t* image, Rows rows, int8_t* to) {
    std::vector<int32_t> cells(static_cast<size_t>(channels));
    for (size_t ox = 0; ox < begins.size(); ++ox, to += channels) {
      average_of(image, w.in, rows, {begins[ox], ends[ox]}, bounds, cells, to);
    }
  };
  // Columns first, a whole line at a time.
  const auto pool_largest = [=](const int8_t* image, Rows rows, int8_t* to) {
    const int64_t line = w.in * channels;
    auto* largest = reinterpret_cast<int8_t*>(own_memory(line));
    std::fill_n(largest, line, static_cast<int8_t>(-128));
    for (int64_t y = rows.begin; y < rows.end; ++y) keep_larger(image + y * line, line, largest);
    keep_larger_beside(largest, begins.data(), ends.data(), w.out, channels, bounds, to);
  };
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) {
    for_parts(batches * h.out, operations, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const Rows rows = covered(h, row % h.out);
        const int8_t* image = x + row / h.out * h.in * w.in * channels;
        int8_t* to = y + row * w.out * channels;
        average ? pool_averages(image, rows, to) : pool_largest(image, rows, to);
      }
    });
  });
}

}  // namespace octet::integer
