// Products, and what computes numbers from numbers.

#include <algorithm>

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

void make_binary(WayBack& g, const std::string& op) {
  Node* left = operand(g, 0);
  g.give(g.call(op, {left, operand(g, 1)}));
}

void make_along_channels(WayBack& g, const std::string& op) {
  const auto rank = static_cast<int64_t>(g.input(0).shape.size());
  g.give(g.call(op, {g.value(0), g.graph_axis(rank - 1, g.input(0))}));
}

}  // namespace

// Broadcasting follows the program's order of axes: ranks are made equal first.
Node* operand(WayBack& g, size_t i) {
  const tflite::Tensor& tensor = g.input(i);
  if (!g.is_image(g.output())) return g.plain_value(i);
  if (tensor.shape.size() == 4 || tensor.numel() == 1) return g.value(i);
  if (tensor.shape.size() > 4) g.refuse("inputs of more dimensions than its result");
  Ints shape(4 - tensor.shape.size(), 1);
  shape.insert(shape.end(), tensor.shape.begin(), tensor.shape.end());
  // All of a constant lies along one axis, or it is turned as a whole.
  const bool is_line = tensor.numel() == *std::max_element(shape.begin(), shape.end());
  if (tensor.is_constant && is_line) return g.constant(i, {}, reordered(shape, to_channels_first(4)));
  Node* wide = g.on_grid(g.step("aten.reshape.default", {g.value(i), shape}), tensor);
  return g.on_grid(g.permuted(wide, to_channels_first(4)), tensor);
}

void fully_connected(WayBack& g) {
  Node* x = g.value(0);
  if (g.is_image(g.input(0))) x = g.on_grid(g.as_it_lies(x, g.input(0)), g.input(0));
  const int64_t depth = g.input(1).shape.at(1);
  Ints shape = g.input(0).shape;
  if (shape.empty() || shape.back() != depth || (!g.op().options.keep_num_dims && shape.size() > 2)) {
    shape = {g.input(0).numel() / std::max<int64_t>(depth, 1), depth};
    x = g.on_grid(g.step("aten.reshape.default", {x, shape}), g.input(0));
  }
  shape.back() = g.input(1).shape.at(0);
  Node* weight = g.input(1).is_constant ? g.constant(1) : g.value(1);
  Node* product = g.call("aten.linear.default", {x, weight, g.has_input(2) ? Arg(g.constant(2)) : Arg()});
  if (g.output().shape != shape) {
    product = g.call("aten.reshape.default", {g.on_grid(product, g.output()), g.output().shape});
  }
  g.give_plain(product);
}

void matmul(WayBack& g) {
  const auto factor = [&](size_t i, bool turned) {
    Node* node = g.plain_value(i);
    return turned ? g.on_grid(g.step("aten.transpose.int", {node, int64_t{-2}, int64_t{-1}}), g.input(i)) : node;
  };
  Node* left = factor(0, g.op().options.adj_x);
  Node* right = factor(1, g.op().options.adj_y);
  const bool by_batches =
      g.input(0).shape.size() == 3 && g.input(1).shape.size() == 3 && g.input(0).shape[0] == g.input(1).shape[0];
  g.give_plain(g.call(by_batches ? "aten.bmm.default" : "aten.matmul.default", {left, right}));
}

void squared_difference(WayBack& g) {
  Node* left = operand(g, 0);
  Node* difference = g.step("aten.sub.Tensor", {left, operand(g, 1)});
  g.give(g.call("aten.mul.Tensor", {difference, difference}));
}

void prelu(WayBack& g) {
  const tflite::Tensor& slopes = g.input(1);
  if (slopes.numel() != 1 && slopes.numel() != slopes.shape.back()) g.refuse("slopes that are not one a channel");
  // PyTorch's channels are axis 1.
  const size_t rank = g.input(0).shape.size();
  const bool turns = slopes.numel() != 1 && !g.is_image(g.input(0)) && rank > 2;
  Node* x = g.value(0);
  if (turns) x = g.on_grid(g.permuted(x, to_channels_first(rank)), g.input(0));
  Node* node = g.call("aten.prelu.default", {x, g.constant(1, {}, {slopes.numel()})});
  g.give(turns ? g.permuted(g.on_grid(node, g.output()), to_channels_last(rank)) : node);
}

void softmax(WayBack& g) {
  const float beta = g.op().options.beta;
  if (beta == 1.0F) return make_along_channels(g, "aten.softmax.int");
  if (g.is_quantized()) g.refuse("a softmax with beta other than 1");
  const auto rank = static_cast<int64_t>(g.input(0).shape.size());
  Node* x = g.step("aten.mul.Tensor", {g.value(0), static_cast<double>(beta)});
  g.give(g.call("aten.softmax.int", {x, g.graph_axis(rank - 1, g.input(0))}));
}

Translate unary(const std::string& op) {
  return [=](WayBack& g) { g.give(g.call(op, {g.value(0)})); };
}

Translate binary(const std::string& op) {
  return [=](WayBack& g) { make_binary(g, op); };
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
