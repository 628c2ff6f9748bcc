// Products, and what computes numbers from numbers.

#include "octet/lowering/layout.h"
#include "octet/lowering/way_back.h"

namespace octet::lowering::way_back {
namespace {

using Ints = std::vector<int64_t>;

void make_reduction(WayBack& g, const std::string& op) {
  Ints dims, rest;
  const auto rank = static_cast<int64_t>(g.input(0).shape.size());
  Ints axes = g.integers(1);
  for (int64_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
  for (const int64_t axis : axes) dims.push_back(g.graph_axis(axis, g.input(0)));
  Node* node = g.call(op, {g.value(0), dims, g.op().options.keep_dims});
  if (!g.op().options.keep_dims && g.is_image(g.input(0))) {
    // What is left, in the program's order.
    Ints left;
    for (int64_t axis = 0; axis < rank; ++axis) {
      if (std::find(axes.begin(), axes.end(), axis) == axes.end()) left.push_back(g.graph_axis(axis, g.input(0)));
    }
    Ints sorted = left, order;
    std::sort(sorted.begin(), sorted.end());
    for (const int64_t axis : left) order.push_back(std::find(sorted.begin(), sorted.end(), axis) - sorted.begin());
    if (left != sorted) node = g.call("aten.permute.default", {g.on_grid(node, g.output()), order});
  }
  g.give(node);
}

// Broadcasting follows the program's order of axes: ranks are made equal first.
Node* make_binary(WayBack& g, const std::string& op) {
  const auto operand = [&](size_t i) {
    const tflite::Tensor& tensor = g.input(i);
    if (!g.is_image(g.output()) || g.is_image(tensor) || tensor.numel() == 1) return g.value(i);
    if (!tensor.is_constant) g.refuse("inputs of different rank");
    Ints shape(4 - tensor.shape.size(), 1);
    shape.insert(shape.end(), tensor.shape.begin(), tensor.shape.end());
    return g.constant(i, {}, reordered(shape, to_channels_first(4)));
  };
  Node* left = operand(0);
  Node* right = operand(1);
  return g.call(op, {left, right});
}

void make_along_channels(WayBack& g, const std::string& op) {
  const auto rank = static_cast<int64_t>(g.input(0).shape.size());
  g.give(g.call(op, {g.value(0), g.graph_axis(rank - 1, g.input(0))}));
}

}  // namespace

void fully_connected(WayBack& g) {
  Node* x = g.value(0);
  if (g.is_image(g.input(0))) x = g.on_grid(g.as_it_lies(x, g.input(0)), g.input(0));
  const int64_t depth = g.input(1).shape.at(1);
  if (g.input(0).shape.empty() || g.input(0).shape.back() != depth ||
      (!g.op().options.keep_num_dims && g.input(0).shape.size() > 2)) {
    x = g.on_grid(g.call("aten.reshape.default", {x, Ints{g.input(0).numel() / std::max<int64_t>(depth, 1), depth}}),
                  g.input(0));
  }
  Node* weight = g.input(1).is_constant ? g.constant(1) : g.value(1);
  Node* product = g.call("aten.linear.default", {x, weight, g.has_input(2) ? Arg(g.constant(2)) : Arg()});
  if (g.is_image(g.output())) product = g.from_nhwc(product);
  g.give(product);
}

void matmul(WayBack& g) {
  const auto factor = [&](size_t i, bool turned) {
    Node* node = g.value(i);
    if (g.is_image(g.input(i))) node = g.on_grid(g.as_it_lies(node, g.input(i)), g.input(i));
    return turned ? g.on_grid(g.call("aten.transpose.int", {node, int64_t{-2}, int64_t{-1}}), g.input(i)) : node;
  };
  Node* left = factor(0, g.op().options.adj_x);
  Node* right = factor(1, g.op().options.adj_y);
  Node* product = g.call(g.output().shape.size() == 3 ? "aten.bmm.default" : "aten.matmul.default", {left, right});
  g.give(g.is_image(g.output()) ? g.from_nhwc(product) : product);
}

void prelu(WayBack& g) {
  const tflite::Tensor& slopes = g.input(1);
  if (slopes.numel() != 1 && slopes.numel() != slopes.shape.back()) g.refuse("slopes that are not one a channel");
  g.give(g.call("aten.prelu.default", {g.value(0), g.constant(1, {}, {slopes.numel()})}));
}

Translate unary(const std::string& op) {
  return [=](WayBack& g) { g.give(g.call(op, {g.value(0)})); };
}

Translate binary(const std::string& op) {
  return [=](WayBack& g) { g.give(make_binary(g, op)); };
}

void squared_difference(WayBack& g) {
  Node* difference = make_binary(g, "aten.sub.Tensor");
  g.give(g.call("aten.mul.Tensor", {difference, difference}));
}

Translate reduction(const std::string& op) {
  return [=](WayBack& g) { make_reduction(g, op); };
}

Translate along_channels(const std::string& op) {
  return [=](WayBack& g) { make_along_channels(g, op); };
}

Translate clip(double low, double high) {
  return [=](WayBack& g) { g.give(g.call("aten.hardtanh.default", {g.value(0), low, high})); };
}

}  // namespace octet::lowering::way_back
