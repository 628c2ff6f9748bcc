// What compares, chooses, and takes by computed places.

#include "octet/integer/grid.h"
#include "octet/lowering/way_back.h"

namespace octet::lowering::way_back {
namespace {

using Ints = std::vector<int64_t>;

int64_t one_number(const WayBack& g, size_t i) {
  const Ints numbers = g.integers(i);
  if (numbers.size() != 1) g.refuse("other than one number where it takes one");
  return numbers.front();
}

// In the type that the program's tensor has, which torch's whole numbers need not have.
Node* in_type(WayBack& g, Node* node, at::ScalarType given, const tflite::Tensor& tensor) {
  const at::ScalarType wanted = scalar_type_of(tensor);
  return given == wanted ? node : g.step("aten.to.dtype", {node, wanted});
}

}  // namespace

void select(WayBack& g) { g.give(g.call("aten.where.self", {operand(g, 0), operand(g, 1), operand(g, 2)})); }

Translate place_of_extremum(const std::string& op) {
  return [=](WayBack& g) {
    Node* place = g.call(op, {g.plain_value(0), one_number(g, 1), false});
    g.give_plain(in_type(g, place, at::kLong, g.output()));
  };
}

void top_k(WayBack& g) {
  const auto rank = static_cast<int64_t>(g.input(0).shape.size());
  Node* both = g.step("aten.topk.default", {g.plain_value(0), one_number(g, 1), rank - 1});
  for (size_t i = 0; i < g.op().outputs.size() && i < 2; ++i) g.set_plain(i, g.element(both, i));
}

void cumulative_sum(WayBack& g) {
  if (g.op().options.exclusive) g.refuse("sums that leave their own element out");
  const int64_t axis = g.graph_axis(one_number(g, 1), g.input(0));
  if (!g.op().options.reverse) return g.give(g.call("aten.cumsum.default", {g.value(0), axis}));
  Node* turned = g.step("aten.flip.default", {g.value(0), Ints{axis}});
  g.give(g.call("aten.flip.default", {g.step("aten.cumsum.default", {turned, axis}), Ints{axis}}));
}

void tile(WayBack& g) { g.give_plain(g.call("aten.repeat.default", {g.plain_value(0), g.integers(1)})); }

void reverse(WayBack& g) {
  Ints axes = g.integers(1);
  for (int64_t& axis : axes) axis = g.graph_axis(axis, g.input(0));
  g.give(g.call("aten.flip.default", {g.value(0), axes}));
}

void cast(WayBack& g) {
  if (g.input(0).type == g.output().type) return g.give(g.value(0));
  if (integer::grid_of(g.input(0)) || integer::grid_of(g.output())) g.refuse("a cast of levels");
  g.give(g.call("aten.to.dtype", {g.value(0), scalar_type_of(g.output())}));
}

void gather(WayBack& g) {
  if (g.op().options.batch_dims != 0) g.refuse("a gather by places of each sample");
  const int64_t axis = g.op().options.axis;
  if (g.input(1).is_constant && g.input(1).shape.size() == 1) {
    g.give(g.call("aten.index_select.default", {g.value(0), g.graph_axis(axis, g.input(0)), g.constant(1)}));
    return;
  }
  const auto rank = static_cast<int64_t>(g.input(0).shape.size());
  const int64_t place = axis < 0 ? axis + rank : axis;
  if (g.input(0).is_constant && place == 0 && rank == 2 && g.input(0).type == tflite::Type::kFloat32) {
    g.give_plain(g.call("aten.embedding.default", {g.plain_value(0), g.plain_value(1)}));
    return;
  }
  std::vector<Arg> indices(static_cast<size_t>(place), Arg());
  indices.emplace_back(g.plain_value(1));
  g.give_plain(g.call("aten.index.Tensor", {g.plain_value(0), Arg(indices)}));
}

}  // namespace octet::lowering::way_back
