// Convolutions, pools, resizes.

#include <array>
#include <limits>

#include "octet/formats/tflite_padding.h"
#include "octet/integer/grid.h"
#include "octet/lowering/way_back.h"

namespace octet::lowering::way_back {
namespace {

using Ints = std::vector<int64_t>;

// Padding above and left, below and right.
struct Sides {
  std::array<int64_t, 2> before{}, after{};
  bool is_even() const { return before == after; }
};

Sides sides_of(const WayBack& g, const std::array<int64_t, 2>& kernel) {
  Sides found;
  if (g.op().options.padding == tflite::Padding::kValid) return found;
  const std::array<int64_t, 2> stride = {g.op().options.stride_h, g.op().options.stride_w};
  const std::array<int64_t, 2> dilation = {g.op().options.dilation_h, g.op().options.dilation_w};
  for (size_t d = 0; d < 2; ++d) {
    const auto by = tflite::same_padding(g.input(0).shape[d + 1], g.output().shape[d + 1],
                                         tflite::window_reach(kernel[d], dilation[d]), stride[d]);
    found.before[d] = by.before;
    found.after[d] = by.after;
  }
  return found;
}

Node* padded(WayBack& g, Node* image, const Sides& by, double fill) {
  Node* node = g.call("aten.pad.default", {image, Ints{by.before[1], by.after[1], by.before[0], by.after[0]},
                                           std::string("constant"), fill});
  return g.on_grid(node, g.input(0));
}

void convolve(WayBack& g, bool is_depthwise) {
  const tflite::Tensor& weight = g.input(1);
  const Sides by = sides_of(g, {weight.shape.at(1), weight.shape.at(2)});
  Node* image = g.value(0);
  Ints padding = {by.before[0], by.before[1]};
  if (!by.is_even()) {
    image = padded(g, image, by, 0.0);
    padding = {0, 0};
  }
  const int64_t groups = is_depthwise ? g.input(0).shape.at(3) : g.input(0).shape.at(3) / weight.shape.at(3);
  Node* filters = g.constant(1, is_depthwise ? Ints{3, 0, 1, 2} : Ints{0, 3, 1, 2});
  g.give(g.call("aten.conv2d.default", {image, filters, g.has_input(2) ? Arg(g.constant(2)) : Arg(),
                                        Ints{g.op().options.stride_h, g.op().options.stride_w}, padding,
                                        Ints{g.op().options.dilation_h, g.op().options.dilation_w}, groups}));
}

void pool(WayBack& g, bool is_max) {
  const std::array<int64_t, 2> kernel = {g.op().options.filter_h, g.op().options.filter_w};
  const Sides by = sides_of(g, kernel);
  Node* image = g.value(0);
  Ints padding = {by.before[0], by.before[1]};
  if (!by.is_even()) {
    if (!is_max) g.refuse("an average with a padding that is not the same on both sides");
    const std::optional<integer::Grid> grid = integer::grid_of(g.input(0));
    const double lowest =
        grid ? static_cast<double>(grid->scale) * static_cast<double>(grid->range.low - grid->zero_point)
             : -std::numeric_limits<double>::infinity();
    image = padded(g, image, by, lowest);
    padding = {0, 0};
  }
  std::vector<Arg> args = {image, Ints{kernel[0], kernel[1]}, Ints{g.op().options.stride_h, g.op().options.stride_w},
                           padding};
  if (!is_max) {
    args.emplace_back(false);                  // ceil_mode
    args.emplace_back(padding == Ints{0, 0});  // SAME divides by what lies in the image
  }
  g.give(g.call(is_max ? "aten.max_pool2d.default" : "aten.avg_pool2d.default", args));
}

}  // namespace

void convolution(WayBack& g) { convolve(g, false); }

void depthwise_convolution(WayBack& g) { convolve(g, true); }

void transposed_convolution(WayBack& g) {
  const tflite::Tensor& weight = g.input(1);
  const tflite::Tensor& image = g.input(2);
  Ints padding, more;
  for (size_t d = 0; d < 2; ++d) {
    const int64_t stride = d == 0 ? g.op().options.stride_h : g.op().options.stride_w;
    const int64_t full = (image.shape.at(d + 1) - 1) * stride + weight.shape.at(d + 1);
    const int64_t cut = full - g.output().shape.at(d + 1);
    if (cut > 0 && cut % 2 != 0) g.refuse("a padding that is not the same on both sides");
    padding.push_back(std::max<int64_t>(cut, 0) / 2);
    more.push_back(std::max<int64_t>(-cut, 0));
  }
  g.give(g.call("aten.conv_transpose2d.input",
                {g.value(2), g.constant(1, {3, 0, 1, 2}), g.has_input(3) ? Arg(g.constant(3)) : Arg(),
                 Ints{g.op().options.stride_h, g.op().options.stride_w}, padding, more}));
}

void max_pool(WayBack& g) { pool(g, true); }

void average_pool(WayBack& g) { pool(g, false); }

void bilinear(WayBack& g) {
  if (!g.op().options.align_corners && !g.op().options.half_pixel_centers) g.refuse("a resize from the corners");
  g.give(g.call("aten.upsample_bilinear2d.vec", {g.value(0), g.integers(1), g.op().options.align_corners, Arg()}));
}

void nearest(WayBack& g) {
  if (g.op().options.align_corners || g.op().options.half_pixel_centers) g.refuse("a resize to the nearest center");
  g.give(g.call("aten.upsample_nearest2d.vec", {g.value(0), g.integers(1), Arg()}));
}

}  // namespace octet::lowering::way_back
