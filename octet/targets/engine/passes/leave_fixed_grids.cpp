#include <algorithm>
#include <array>
#include <unordered_map>

#include "octet/lowering/rule.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// What a fixed grid of a target holds; kAny: the value has none.
enum class Bounds { kAny, kUnit, kSignedUnit };

bool is_one_of(const Node& node, const auto& ops) {
  return std::any_of(ops.begin(), ops.end(), [&](OpName op) { return node.is_call(op); });
}

bool joins(const Node& node) {
  constexpr std::array<OpName, 3> kJoins = {"aten.cat.default", "aten.maximum.default", "aten.minimum.default"};
  return is_one_of(node, kJoins);
}

// What it gives may lie beyond what its input's grid holds.
bool leads_beyond(const Node& node) {
  constexpr std::array<OpName, 3> kBeyond = {"aten.sum.default", "aten.sum.dim_IntList", "aten.neg.default"};
  return is_one_of(node, kBeyond);
}

// Moves elements, or takes means and maxima of them, on its input's grid.
bool keeps_bounds(const Node& node) {
  constexpr std::array<OpName, 12> kKeep = {"aten.slice.Tensor",           "aten.max_pool1d.default",
                                            "aten.max_pool2d.default",     "aten.avg_pool1d.default",
                                            "aten.avg_pool2d.default",     "aten.adaptive_avg_pool1d.default",
                                            "aten.amax.default",           "aten.adaptive_avg_pool2d.default",
                                            "aten.upsample_nearest2d.vec", "aten.upsample_bilinear2d.vec",
                                            "aten.amin.default",           "aten.mean.dim"};
  const lowering::OperatorRow* row = lowering::find_lowering_rule(node);
  const bool moves = row != nullptr && row->arithmetic == lowering::Arithmetic::kMoves && row->auxiliary;
  return moves || is_one_of(node, kKeep);
}

Bounds bounds_of_call(const Node& node) {
  constexpr std::array<OpName, 3> kShares = {"aten.softmax.int", "aten.sigmoid.default", "aten.sigmoid_.default"};
  constexpr std::array<OpName, 2> kTangents = {"aten.tanh.default", "aten.tanh_.default"};
  if (is_one_of(node, kShares)) return Bounds::kUnit;
  return is_one_of(node, kTangents) ? Bounds::kSignedUnit : Bounds::kAny;
}

Node* add_activation(Node* value, Bounds bounds, const Node& like) {
  if (bounds == Bounds::kUnit) return add_call("aten.relu.default", {value}, value->sizes(), like);
  return add_call("aten.hardtanh.default", {value, -1.0, 1.0}, value->sizes(), like);
}

}  // namespace

bool leave_fixed_grids(GraphModule& module) {
  std::unordered_map<const Node*, Bounds> bounds;  // of what has any
  const auto bounds_of = [&](const Node* value) {
    const auto found = bounds.find(value);
    return found == bounds.end() ? Bounds::kAny : found->second;
  };
  const auto share_bounds = [&](const std::vector<Node*>& values) {
    return std::all_of(values.begin(), values.end(),
                       [&](const Node* value) { return bounds_of(value) == bounds_of(values.front()); });
  };
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node& each) { return each.meta().has_value(); })) {
    if (!joins(*node) && !leads_beyond(*node)) {
      const Node* first = node->args().empty() ? nullptr : node->arg(size_t{0}).node();
      const Bounds own = keeps_bounds(*node) ? bounds_of(first) : bounds_of_call(*node);
      if (own != Bounds::kAny) bounds[node] = own;
      continue;
    }
    const std::vector<Node*> inputs = node->inputs();
    if (joins(*node) && share_bounds(inputs)) {
      if (const Bounds own = bounds_of(inputs.front()); own != Bounds::kAny) bounds[node] = own;
      continue;
    }
    const auto here = module.graph().inserting_before(node);
    for (Node* input : inputs) {
      if (bounds_of(input) == Bounds::kAny || !input->meta()) continue;
      node->replace_input(input, add_activation(input, bounds_of(input), *node));
      changed = true;
    }
  }
  return changed;
}

}  // namespace octet::targets
