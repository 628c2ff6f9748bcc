// Convolutions, pools, resizes.

#include <ATen/Functions.h>

#include <array>
#include <limits>

#include "octet/formats/tflite_padding.h"
#include "octet/integer/grid.h"
#include "octet/integer/kernels/resize.h"
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
    const auto by = tflite::same_padding(g.input(0).shape.at(d + 1), g.output().shape.at(d + 1),
                                         tflite::window_reach(kernel[d], dilation[d]), stride[d]);
    found.before[d] = by.before;
    found.after[d] = by.after;
  }
  return found;
}

Node* padded(WayBack& g, Node* image, const Sides& by, double fill) {
  Node* node = g.step("aten.pad.default", {image, Ints{by.before[1], by.after[1], by.before[0], by.after[0]},
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
  const int64_t channels = g.input(0).shape.at(3), depth = std::max<int64_t>(weight.shape.at(3), 1);
  const int64_t groups = is_depthwise ? channels : channels / depth;
  Node* filters = g.constant(1, is_depthwise ? Ints{3, 0, 1, 2} : Ints{0, 3, 1, 2});
  g.give(g.call("aten.conv2d.default", {image, filters, g.has_input(2) ? Arg(g.constant(2)) : Arg(),
                                        Ints{g.op().options.stride_h, g.op().options.stride_w}, padding,
                                        Ints{g.op().options.dilation_h, g.op().options.dilation_w}, groups}));
}

// Nothing in the value is below zero.
bool is_positive(const Node& node) {
  for (const char* op : {"aten.relu.default", "aten.sigmoid.default", "aten.softmax.int", "aten.exp.default"}) {
    if (node.is_call(op)) return true;
  }
  return node.is_call("aten.hardtanh.default") && node.arg("min_val").to_double() >= 0.0;
}

// What a maximum never takes.
double lowest_of(const WayBack& g, const Node& image) {
  if (const std::optional<integer::Grid> grid = integer::grid_of(g.input(0))) {
    return static_cast<double>(grid->scale) * static_cast<double>(grid->range.low - grid->zero_point);
  }
  return is_positive(image) ? 0.0 : -std::numeric_limits<double>::infinity();
}

// Of each window how many of its elements lie in the image, as a factor on a mean that counts them all.
at::Tensor shares_in_image(const WayBack& g, const std::array<int64_t, 2>& kernel, const Sides& by) {
  const std::array<int64_t, 2> stride = {g.op().options.stride_h, g.op().options.stride_w};
  std::array<at::Tensor, 2> shares;
  for (size_t d = 0; d < 2; ++d) {
    shares[d] = at::empty({g.output().shape.at(d + 1)}, at::kFloat);
    for (int64_t i = 0; i < shares[d].numel(); ++i) {
      const int64_t first = i * stride[d] - by.before[d];
      const int64_t inside = std::min(first + kernel[d], g.input(0).shape.at(d + 1)) - std::max<int64_t>(first, 0);
      shares[d][i] = static_cast<float>(kernel[d]) / static_cast<float>(std::max<int64_t>(inside, 1));
    }
  }
  return (shares[0].view({-1, 1}) * shares[1].view({1, -1})).view({1, 1, -1, shares[1].numel()});
}

void pool(WayBack& g, bool is_max) {
  const std::array<int64_t, 2> kernel = {g.op().options.filter_h, g.op().options.filter_w};
  const Ints stride = {g.op().options.stride_h, g.op().options.stride_w};
  const Sides by = sides_of(g, kernel);
  Node* image = g.value(0);
  Ints padding = {by.before[0], by.before[1]};
  bool overhangs = false;
  if (!by.is_even() && is_max) {
    image = padded(g, image, by, lowest_of(g, *image));
    padding = {0, 0};
  } else if (!by.is_even()) {
    // Below and on the right is one more: windows may overhang there, where they do not stand side by side.
    for (size_t d = 0; d < 2; ++d) overhangs |= by.after[d] != by.before[d];
    for (size_t d = 0; d < 2; ++d) overhangs &= by.after[d] == by.before[d] || stride[d] > 1;
    if (!overhangs && g.is_quantized()) g.refuse("an average with a padding that is not the same on both sides");
    if (!overhangs) {
      Node* means = g.step("aten.avg_pool2d.default",
                           {padded(g, image, by, 0.0), Ints{kernel[0], kernel[1]}, stride, Ints{0, 0}});
      return g.give(g.call("aten.mul.Tensor", {means, g.made_constant("shares", shares_in_image(g, kernel, by))}));
    }
  }
  std::vector<Arg> args = {image, Ints{kernel[0], kernel[1]}, stride, padding};
  if (!is_max) {
    args.emplace_back(overhangs);              // ceil_mode
    args.emplace_back(padding == Ints{0, 0});  // SAME divides by what lies in the image
  }
  g.give(g.call(is_max ? "aten.max_pool2d.default" : "aten.avg_pool2d.default", args));
}

// Rows and columns by their numbers.
void gather_pixels(WayBack& g) {
  const auto places = [&](size_t axis) {
    return at::tensor(integer::nearest_places(g.op().options, g.input(0).shape.at(axis), g.output().shape.at(axis)),
                      at::kLong);
  };
  Node* rows = g.step("aten.index_select.default", {g.value(0), int64_t{2}, g.made_constant("rows", places(1))});
  rows = g.on_grid(rows, g.output());
  g.give(g.call("aten.index_select.default", {rows, int64_t{3}, g.made_constant("columns", places(2))}));
}

}  // namespace

void convolution(WayBack& g) { convolve(g, false); }

void depthwise_convolution(WayBack& g) { convolve(g, true); }

void transposed_convolution(WayBack& g) {
  const tflite::Tensor& weight = g.input(1);
  const tflite::Tensor& image = g.input(2);
  Ints padding, more;
  bool is_cut = false;  // by more below and on the right
  for (size_t d = 0; d < 2; ++d) {
    const int64_t stride = d == 0 ? g.op().options.stride_h : g.op().options.stride_w;
    const int64_t full = (image.shape.at(d + 1) - 1) * stride + weight.shape.at(d + 1);
    const int64_t cut = full - g.output().shape.at(d + 1);
    const bool is_padded = g.op().options.padding == tflite::Padding::kSame;  // else all is cut behind
    padding.push_back(is_padded ? std::max<int64_t>(cut, 0) / 2 : 0);
    more.push_back(std::max<int64_t>(-cut, 0));
    is_cut |= cut > 2 * padding.back();
  }
  Node* node = g.call("aten.conv_transpose2d.input",
                      {g.value(2), g.constant(1, {3, 0, 1, 2}), g.has_input(3) ? Arg(g.constant(3)) : Arg(),
                       Ints{g.op().options.stride_h, g.op().options.stride_w}, padding, more});
  for (const size_t d : {size_t{1}, size_t{2}}) {
    if (!is_cut) continue;
    node = g.call("aten.slice.Tensor",
                  {g.on_grid(node, g.output()), static_cast<int64_t>(d + 1), int64_t{0}, g.output().shape.at(d)});
  }
  g.give(node);
}

void max_pool(WayBack& g) { pool(g, true); }

void average_pool(WayBack& g) { pool(g, false); }

void bilinear(WayBack& g) {
  if (!g.op().options.align_corners && !g.op().options.half_pixel_centers) g.refuse("a resize from the corners");
  g.give(g.call("aten.upsample_bilinear2d.vec", {g.value(0), g.integers(1), g.op().options.align_corners, Arg()}));
}

void nearest(WayBack& g) {
  for (const size_t axis : {size_t{1}, size_t{2}}) {
    const int64_t in = g.input(0).shape.at(axis), out = g.output().shape.at(axis);
    if (integer::nearest_places(g.op().options, in, out) != integer::nearest_places({}, in, out)) {
      return gather_pixels(g);
    }
  }
  g.give(g.call("aten.upsample_nearest2d.vec", {g.value(0), g.integers(1), Arg()}));
}

}  // namespace octet::lowering::way_back
