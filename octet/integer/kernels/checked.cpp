#include "octet/integer/kernels/checked.h"

#include "octet/support/error.h"

namespace octet::integer {
namespace {

// An accumulator in 64 bits that tells when 32 would not have held it.
class Accumulator {
 public:
  Accumulator(bool check, const std::string& where) : check_(check), where_(where) {}
  void add(int64_t term) {
    sum_ += term;
    if (check_) check_sum(sum_, where_);
  }
  int32_t value() const { return static_cast<int32_t>(sum_); }

 private:
  bool check_;
  const std::string& where_;
  int64_t sum_ = 0;
};

// The result for a channel, from all products of its accumulator.
template <typename AddProducts>
int8_t accumulated(const Requantizer& requantize, int64_t channel, bool check, const std::string& where,
                   AddProducts add_products) {
  Accumulator accumulator(check, where);
  add_products(accumulator);
  const int32_t sum = accumulator.value();
  accumulator.add(requantize.bias(channel));
  return requantize(sum, channel);
}

}  // namespace

Kernel make_plain_convolution(const KernelContext& context, const Window& window, const Requantizer& requantize,
                              int64_t multiplier) {
  const int32_t zero_point = context.zero_point(context.input(0));
  const auto in = context.input_index(0);
  const auto filters = context.input_index(1);
  const auto out = context.output_index();
  const bool check = context.check_overflow;
  const std::string where = context.where();
  return [=](const Values& values) {
    const auto& [h, w, batches, channels, out_channels] = window;
    const auto* x = values.at<const int8_t>(in);
    const auto* weights = values.at<const int8_t>(filters);
    auto* y = values.at<int8_t>(out);
    // Channels of the image and weights that one pixel of a window takes into one sum.
    const int64_t depth = multiplier > 0 ? 1 : channels;
    for (int64_t at = 0; at < batches * h.out * w.out * out_channels; ++at) {
      const int64_t c = at % out_channels, ox = at / out_channels % w.out;
      const int64_t oy = at / out_channels / w.out % h.out, n = at / out_channels / w.out / h.out;
      y[at] = accumulated(requantize, c, check, where, [&](Accumulator& accumulator) {
        for (int64_t fy = 0; fy < h.filter; ++fy) {
          const int64_t iy = oy * h.stride - h.before + fy * h.dilation;
          if (iy < 0 || iy >= h.in) continue;
          for (int64_t fx = 0; fx < w.filter; ++fx) {
            const int64_t ix = ox * w.stride - w.before + fx * w.dilation;
            if (ix < 0 || ix >= w.in) continue;
            const int64_t tap = fy * w.filter + fx;
            const int8_t* from = x + ((n * h.in + iy) * w.in + ix) * channels + (multiplier > 0 ? c / multiplier : 0);
            const int8_t* filter =
                weights + (multiplier > 0 ? tap * out_channels + c : (c * h.filter * w.filter + tap) * channels);
            for (int64_t i = 0; i < depth; ++i) accumulator.add((from[i] - zero_point) * filter[i]);
          }
        }
      });
    }
  };
}

Kernel make_plain_transposed_convolution(const KernelContext& context, const Window& window,
                                         const Requantizer& requantize) {
  const int32_t zero_point = context.zero_point(context.input(2));
  const auto in = context.input_index(2);
  const auto filters = context.input_index(1);
  const auto out = context.output_index();
  const bool check = context.check_overflow;
  const std::string where = context.where();
  return [=](const Values& values) {
    const auto& [h, w, batches, channels, out_channels] = window;
    const auto* x = values.at<const int8_t>(in);
    const auto* weights = values.at<const int8_t>(filters);
    auto* y = values.at<int8_t>(out);
    for (int64_t at = 0; at < batches * h.out * w.out * out_channels; ++at) {
      const int64_t c = at % out_channels, ox = at / out_channels % w.out;
      const int64_t oy = at / out_channels / w.out % h.out, n = at / out_channels / w.out / h.out;
      y[at] = accumulated(requantize, c, check, where, [&](Accumulator& accumulator) {
        for (int64_t fy = 0; fy < h.filter; ++fy) {
          const int64_t iy = (oy + h.before - fy) / h.stride;  // the pixel whose window has this one at fy
          if (oy + h.before < fy || iy >= h.in || iy * h.stride != oy + h.before - fy) continue;
          for (int64_t fx = 0; fx < w.filter; ++fx) {
            const int64_t ix = (ox + w.before - fx) / w.stride;
            if (ox + w.before < fx || ix >= w.in || ix * w.stride != ox + w.before - fx) continue;
            const int8_t* from = x + ((n * h.in + iy) * w.in + ix) * channels;
            const int8_t* filter = weights + ((c * h.filter + fy) * w.filter + fx) * channels;
            for (int64_t i = 0; i < channels; ++i) accumulator.add((from[i] - zero_point) * filter[i]);
          }
        }
      });
    }
  };
}

Kernel make_plain_rows(const KernelContext& context, int64_t rows, int64_t depth, const Requantizer& requantize) {
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
    for (int64_t row = 0; row < rows; ++row, x += depth) {
      for (int64_t c = 0; c < requantize.channels(); ++c) {
        *y++ = accumulated(requantize, c, check, where, [&](Accumulator& accumulator) {
          for (int64_t i = 0; i < depth; ++i) accumulator.add((x[i] - zero_point) * weights[c * depth + i]);
        });
      }
    }
  };
}

}  // namespace octet::integer
