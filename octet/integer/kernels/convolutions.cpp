#include <cmath>
#include <cstring>

#include "octet/integer/dot.h"
#include "octet/integer/fixed_point.h"
#include "octet/integer/kernel.h"
#include "octet/integer/kernels/products.h"
#include "octet/integer/kernels/window.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::Tensor;

Kernel make_convolution(const KernelContext& context) {
  const auto [h, w, batches, channels, out_channels] = convolution_window(context);
  const Tensor& weight = context.input(1);
  if (weight.shape[3] != channels || weight.shape[0] != out_channels) {
    context.fail("channels of the weight", octet::str(channels, " in, ", out_channels, " out"),
                 octet::str(weight.shape[3], ", ", weight.shape[0]));
  }
  const Requantizer requantize(context, out_channels);
  const WeightSums sums(context, out_channels);
  const int32_t zero_point = context.zero_point(context.input(0));
  const auto in = context.input_index(0);
  const auto filters = context.input_index(1);
  const auto out = context.output_index();
  const bool check = context.check_overflow;
  const std::string where = context.where();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    const auto* weights = values.at<const int8_t>(filters);
    auto* y = values.at<int8_t>(out);
    const int64_t row = w.filter * channels;
    const int64_t size = h.filter * row;
    // The window as one line of numbers; outside the image the zero point, which adds nothing.
    std::vector<int8_t> window(static_cast<size_t>(size));
    for (int64_t n = 0; n < batches; ++n) {
      for (int64_t oy = 0; oy < h.out; ++oy) {
        for (int64_t ox = 0; ox < w.out; ++ox) {
          for (int64_t fy = 0; fy < h.filter; ++fy) {
            const int64_t iy = oy * h.stride - h.before + fy * h.dilation;
            int8_t* line = window.data() + fy * row;
            if (iy < 0 || iy >= h.in) {
              std::memset(line, static_cast<uint8_t>(zero_point), static_cast<size_t>(row));
              continue;
            }
            for (int64_t fx = 0; fx < w.filter; ++fx) {
              const int64_t ix = ox * w.stride - w.before + fx * w.dilation;
              int8_t* cell = line + fx * channels;
              if (ix < 0 || ix >= w.in) {
                std::memset(cell, static_cast<uint8_t>(zero_point), static_cast<size_t>(channels));
              } else {
                std::memcpy(cell, x + ((n * h.in + iy) * w.in + ix) * channels, static_cast<size_t>(channels));
              }
            }
          }
          int8_t* to = y + ((n * h.out + oy) * w.out + ox) * requantize.channels();
          for (int64_t c = 0; c < requantize.channels(); ++c) {
            const int8_t* filter = weights + c * size;
            const int32_t sum = dot(window.data(), filter, size);
            if (check) check_accumulator(window.data(), filter, size, zero_point, requantize.bias(c), where);
            to[c] = requantize(sums.centered(sum, c, zero_point), c);
          }
        }
      }
    }
  };
}

Kernel make_depthwise_convolution(const KernelContext& context) {
  const auto [h, w, batches, channels, out_channels] = convolution_window(context);
  const Tensor& weight = context.input(1);
  const int64_t multiplier = context.op.options.depth_multiplier;
  if (weight.shape[3] != out_channels || multiplier < 1 || channels * multiplier != out_channels) {
    context.fail("channels", "input times depth_multiplier, in weight and output",
                 octet::str(channels, " * ", multiplier, ", ", weight.shape[3], " and ", out_channels));
  }
  const Requantizer requantize(context, out_channels);
  const int32_t zero_point = context.zero_point(context.input(0));
  const auto in = context.input_index(0);
  const auto filters = context.input_index(1);
  const auto out = context.output_index();
  const bool check = context.check_overflow;
  const std::string where = context.where();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    const auto* weights = values.at<const int8_t>(filters);
    auto* y = values.at<int8_t>(out);
    std::vector<int32_t> sums(static_cast<size_t>(out_channels));
    std::vector<int64_t> wide(check ? static_cast<size_t>(out_channels) : 0);
    for (int64_t n = 0; n < batches; ++n) {
      for (int64_t oy = 0; oy < h.out; ++oy) {
        for (int64_t ox = 0; ox < w.out; ++ox) {
          std::fill(sums.begin(), sums.end(), 0);
          std::fill(wide.begin(), wide.end(), 0);
          for (int64_t fy = 0; fy < h.filter; ++fy) {
            const int64_t iy = oy * h.stride - h.before + fy * h.dilation;
            if (iy < 0 || iy >= h.in) continue;
            for (int64_t fx = 0; fx < w.filter; ++fx) {
              const int64_t ix = ox * w.stride - w.before + fx * w.dilation;
              if (ix < 0 || ix >= w.in) continue;
              const int8_t* from = x + ((n * h.in + iy) * w.in + ix) * channels;
              const int8_t* filter = weights + (fy * w.filter + fx) * out_channels;
              if (multiplier == 1) {
                for (int64_t c = 0; c < channels; ++c)
                  sums[static_cast<size_t>(c)] += (from[c] - zero_point) * filter[c];
              } else {
                for (int64_t c = 0; c < out_channels; ++c) {
                  sums[static_cast<size_t>(c)] += (from[c / multiplier] - zero_point) * filter[c];
                }
              }
              for (size_t c = 0; c < wide.size(); ++c) {
                wide[c] += static_cast<int64_t>(from[static_cast<int64_t>(c) / multiplier] - zero_point) * filter[c];
              }
            }
          }
          int8_t* to = y + ((n * h.out + oy) * w.out + ox) * out_channels;
          for (int64_t c = 0; c < out_channels; ++c) {
            if (check) check_sum(wide[static_cast<size_t>(c)] + requantize.bias(c), where);
            to[c] = requantize(sums[static_cast<size_t>(c)], c);
          }
        }
      }
    }
  };
}

Kernel make_transposed_convolution(const KernelContext& context) {
  const auto [h, w, batches, channels, out_channels] = transposed_window(context);
  const Requantizer requantize(context, out_channels, /*image=*/2, /*bias=*/3);
  const int32_t zero_point = context.zero_point(context.input(2));
  const auto in = context.input_index(2);
  const auto filters = context.input_index(1);
  const auto out = context.output_index();
  const bool check = context.check_overflow;
  const std::string where = context.where();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    const auto* weights = values.at<const int8_t>(filters);
    auto* y = values.at<int8_t>(out);
    // Every input pixel adds its products to the window that it covers.
    std::vector<int64_t> sums(static_cast<size_t>(h.out * w.out * out_channels));
    for (int64_t n = 0; n < batches; ++n) {
      std::fill(sums.begin(), sums.end(), 0);
      for (int64_t iy = 0; iy < h.in; ++iy) {
        for (int64_t ix = 0; ix < w.in; ++ix) {
          const int8_t* from = x + ((n * h.in + iy) * w.in + ix) * channels;
          for (int64_t fy = 0; fy < h.filter; ++fy) {
            const int64_t oy = iy * h.stride - h.before + fy;
            if (oy < 0 || oy >= h.out) continue;
            for (int64_t fx = 0; fx < w.filter; ++fx) {
              const int64_t ox = ix * w.stride - w.before + fx;
              if (ox < 0 || ox >= w.out) continue;
              int64_t* to = sums.data() + (oy * w.out + ox) * out_channels;
              for (int64_t c = 0; c < out_channels; ++c) {
                const int8_t* filter = weights + ((c * h.filter + fy) * w.filter + fx) * channels;
                int64_t sum = 0;
                for (int64_t i = 0; i < channels; ++i) sum += static_cast<int64_t>(from[i] - zero_point) * filter[i];
                to[c] += sum;
              }
            }
          }
        }
      }
      int8_t* to = y + n * static_cast<int64_t>(sums.size());
      for (size_t i = 0; i < sums.size(); ++i) {
        const int64_t c = static_cast<int64_t>(i) % out_channels;
        if (check) check_sum(sums[i] + requantize.bias(c), where);
        to[i] = requantize(static_cast<int32_t>(sums[i]), c);
      }
    }
  };
}

}  // namespace octet::integer
