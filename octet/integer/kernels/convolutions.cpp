#include <cstring>

#include "octet/integer/gemm.h"
#include "octet/integer/kernel.h"
#include "octet/integer/kernels/checked.h"
#include "octet/integer/kernels/products.h"
#include "octet/integer/kernels/window.h"
#include "octet/integer/kernels/windowed_product.h"
#include "octet/integer/kernels/winograd.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::Tensor;

Kernel make_convolution(const KernelContext& context) {
  const Window window = convolution_window(context);
  const Tensor& weight = context.input(1);
  if (weight.shape[3] != window.channels || weight.shape[0] != window.out_channels) {
    context.fail("channels of the weight", octet::str(window.channels, " in, ", window.out_channels, " out"),
                 octet::str(weight.shape[3], ", ", weight.shape[0]));
  }
  const Requantizer requantize(context, window.out_channels);
  constant_weights(context);
  if (context.check_overflow || !window.is_reasonable()) return make_plain_convolution(context, window, requantize, 0);
  if (suits_winograd(context, window)) return make_winograd_product(context, window, requantize);
  return make_windowed_product(context, window, requantize);
}

Kernel make_transposed_convolution(const KernelContext& context) {
  const Window window = transposed_window(context);
  const int64_t channels = window.channels, out_channels = window.out_channels;
  const Requantizer requantize(context, out_channels, /*image=*/2, /*bias=*/3);
  const int8_t* levels = constant_weights(context);
  if (context.check_overflow) return make_plain_convolution(context, window, requantize, 0, /*image=*/2);
  // Every pixel of the image gives a product for each place of its window and each channel: [fy, fx, channel].
  const int64_t taps = window.h.filter * window.w.filter;
  std::vector<int8_t> by_place(static_cast<size_t>(taps * out_channels * channels));
  for (int64_t c = 0; c < out_channels; ++c) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      std::copy_n(levels + (c * taps + tap) * channels, channels,
                  by_place.data() + (tap * out_channels + c) * channels);
    }
  }
  const auto packed = std::make_shared<PackedWeights>(context.path, by_place.data(), taps * out_channels, 1, channels);
  const Requantization table =
      requantize.table(std::vector<int32_t>(static_cast<size_t>(out_channels), 0), 0, taps * channels);
  const auto centre = static_cast<uint32_t>(context.zero_point(context.input(2)) + packed->ops().activation_shift);
  const int64_t pixels = window.h.in * window.w.in;
  const int64_t image_bytes =
      (pixels * channels * packed->ops().activation_bytes + kReadAhead + 63) / 64 * 64;  // the sums stay aligned
  const int64_t sums_count = window.pixels() * out_channels;
  const auto in = context.input_index(2);
  const auto out = context.output_index();
  const auto run = [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<int8_t>(out);
    const auto& [h, w, batches, in_channels, result_channels] = window;
    const PathOps& ops = packed->ops();
    uint8_t* image = values.scratch();
    auto* sums = reinterpret_cast<uint32_t*>(image + image_bytes);
    std::memset(image + image_bytes - kReadAhead, 0, kReadAhead);
    // Adds a pixel's products to the window that it covers.
    const auto scatter = [&](int64_t pixel, int64_t first, int64_t count, const int32_t* products) {
      const int64_t top = pixel / w.in * h.stride - h.before, left = pixel % w.in * w.stride - w.before;
      for (int64_t i = 0; i < count;) {
        const int64_t tap = (first + i) / out_channels, c = (first + i) % out_channels;
        const int64_t run_length = std::min(out_channels - c, count - i);
        const int64_t oy = top + tap / w.filter, ox = left + tap % w.filter;
        if (oy >= 0 && oy < h.out && ox >= 0 && ox < w.out) {
          uint32_t* to = sums + (oy * w.out + ox) * out_channels + c;
          const int32_t* weight_sums = packed->sums().data() + first + i;
          for (int64_t k = 0; k < run_length; ++k) {
            to[k] += static_cast<uint32_t>(products[i + k]) - centre * static_cast<uint32_t>(weight_sums[k]);
          }
        }
        i += run_length;
      }
    };
    for (int64_t n = 0; n < batches; ++n) {
      ops.pack(x + n * pixels * channels, pixels * channels, image);
      std::fill_n(sums, sums_count, 0);
      packed->multiply(
          0, pixels, [&](int64_t pixel) { return image + pixel * channels * ops.activation_bytes; }, {0}, scatter);
      for (int64_t at = 0; at < window.pixels(); ++at, y += out_channels) {
        ops.requantize(reinterpret_cast<const int32_t*>(sums) + at * out_channels, table, 0, out_channels, y);
      }
    }
  };
  return {run, image_bytes + sums_count * 4 + kReadAhead};
}

}  // namespace octet::integer
