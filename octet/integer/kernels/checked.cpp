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

// Every element of the result from its own accumulator: add_products(x, weights, index, channel, accumulator).
template <typename AddProducts>
Kernel make_plain(const KernelContext& context, size_t image, const Requantizer& requantize, AddProducts add_products) {
  const auto in = context.input_index(image);
  const auto filters = context.input_index(1);
  const auto out = context.output_index();
  const int64_t elements = context.output().numel();
  const bool check = context.check_overflow;
  const std::string where = context.where();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    const auto* weights = values.at<const int8_t>(filters);
    auto* y = values.at<int8_t>(out);
    for (int64_t at = 0; at < elements; ++at) {
      const int64_t channel = at % requantize.channels();
      Accumulator accumulator(check, where);
      add_products(x, weights, at / requantize.channels(), channel, accumulator);
      const int32_t sum = accumulator.value();
      accumulator.add(requantize.bias(channel));
      y[at] = requantize(sum, channel);
    }
  };
}

struct Place {
  int64_t n, y, x;
};
Place place_of(const Window& window, int64_t pixel) {
  return {pixel / window.pixels(), pixel / window.w.out % window.h.out, pixel % window.w.out};
}

// The pixel of the image that a window has at f; -1 outside.
int64_t window_source(const Axis& axis, int64_t out, int64_t f) {
  const int64_t at = out * axis.stride - axis.before + f * axis.dilation;
  return at < axis.in ? std::max<int64_t>(at, -1) : -1;
}
// The pixel of the image whose window has the result's pixel at f; -1 where there is none.
int64_t transposed_source(const Axis& axis, int64_t out, int64_t f) {
  const int64_t reach = out + axis.before - f;
  return reach >= 0 && reach % axis.stride == 0 && reach / axis.stride < axis.in ? reach / axis.stride : -1;
}

}  // namespace

Kernel make_plain_convolution(const KernelContext& context, const Window& window, const Requantizer& requantize,
                              int64_t multiplier, size_t image) {
  const bool depthwise = multiplier > 0;
  const int64_t depth = depthwise ? 1 : window.channels;
  const auto find = image == 0 ? &window_source : &transposed_source;
  const int32_t zero_point = context.zero_point(context.input(image));
  return make_plain(context, image, requantize,
                    [=](const int8_t* x, const int8_t* weights, int64_t pixel, int64_t c, Accumulator& accumulator) {
                      const auto& [h, w, batches, channels, out_channels] = window;
                      const auto [n, oy, ox] = place_of(window, pixel);
                      for (int64_t tap = 0; tap < h.filter * w.filter; ++tap) {
                        const int64_t iy = find(h, oy, tap / w.filter), ix = find(w, ox, tap % w.filter);
                        if (iy < 0 || ix < 0) continue;
                        const int8_t* from = x + ((n * h.in + iy) * w.in + ix) * channels;
                        const int8_t* filter = weights + (c * h.filter * w.filter + tap) * channels;
                        if (depthwise) {
                          from += c / multiplier;
                          filter = weights + tap * out_channels + c;
                        }
                        for (int64_t i = 0; i < depth; ++i) accumulator.add((from[i] - zero_point) * filter[i]);
                      }
                    });
}

Kernel make_plain_rows(const KernelContext& context, int64_t depth, const Requantizer& requantize) {
  const int32_t zero_point = context.zero_point(context.input(0));
  return make_plain(context, 0, requantize,
                    [=](const int8_t* x, const int8_t* weights, int64_t row, int64_t c, Accumulator& accumulator) {
                      for (int64_t i = 0; i < depth; ++i) {
                        accumulator.add((x[row * depth + i] - zero_point) * weights[c * depth + i]);
                      }
                    });
}

}  // namespace octet::integer
