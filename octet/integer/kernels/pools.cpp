#include "octet/integer/fixed_point.h"
#include "octet/integer/kernels/window.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;

Kernel make_pool(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  const auto [h, w, batches, channels, out_channels] = pool_window(context);
  context.require_same_grid(input, output);
  const Bounds bounds = activation_bounds(context, context.op.options.activation);
  const bool average = context.op.code == OpCode::kAveragePool2d;
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) {
    std::vector<int32_t> cells(static_cast<size_t>(channels));
    for (int64_t n = 0; n < batches; ++n) {
      for (int64_t oy = 0; oy < h.out; ++oy) {
        const int64_t top = std::max<int64_t>(oy * h.stride - h.before, 0);
        const int64_t bottom = std::min(oy * h.stride - h.before + h.filter, h.in);
        for (int64_t ox = 0; ox < w.out; ++ox) {
          const int64_t left = std::max<int64_t>(ox * w.stride - w.before, 0);
          const int64_t right = std::min(ox * w.stride - w.before + w.filter, w.in);
          std::fill(cells.begin(), cells.end(), average ? 0 : -128);
          for (int64_t iy = top; iy < bottom; ++iy) {
            for (int64_t ix = left; ix < right; ++ix) {
              const int8_t* from = x + ((n * h.in + iy) * w.in + ix) * channels;
              for (int64_t c = 0; c < channels; ++c) {
                int32_t& cell = cells[static_cast<size_t>(c)];
                cell = average ? cell + from[c] : std::max<int32_t>(cell, from[c]);
              }
            }
          }
          const auto count = static_cast<int32_t>((bottom - top) * (right - left));
          int8_t* to = y + ((n * h.out + oy) * w.out + ox) * channels;
          for (int64_t c = 0; c < channels; ++c) {
            int32_t cell = cells[static_cast<size_t>(c)];
            if (average && count > 0) cell = (cell > 0 ? cell + count / 2 : cell - count / 2) / count;
            to[c] = clamp_int8(cell, bounds.low, bounds.high);
          }
        }
      }
    }
  });
}

}  // namespace octet::integer
