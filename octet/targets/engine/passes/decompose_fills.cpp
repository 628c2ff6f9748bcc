#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <unordered_set>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/finite.h"
#include "octet/targets/engine/passes/memory.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// Numbers from here on stand for nothing: on a grid they would take all other values' levels.
constexpr double kSentinel = 1e4;

bool is_float_value(const Node* node) { return node != nullptr && node->meta() && node->meta()->dtype == at::kFloat; }

// What the node fills a float value of its input's sizes with.
std::optional<double> fill_of(const Node& node) {
  std::optional<double> fill;
  if (node.is_call("aten.zeros_like.default")) fill = 0.0;
  if (node.is_call("aten.ones_like.default")) fill = 1.0;
  if (node.is_call("aten.full_like.default") && node.arg("fill_value").is_constant()) {
    fill = node.arg("fill_value").to_double();
  }
  const bool alike = fill && is_float_value(&node) && is_float_value(node.arg("self").node()) &&
                     !is_static(node.arg("self").node()) && node.arg("self").node()->sizes() == node.sizes();
  return alike ? fill : std::nullopt;
}

// An operator element by element, whose result has this size without the value, too.
bool takes_a_number(const Node& user, const Node& value) {
  constexpr std::array<OpName, 7> kElementwise = {"aten.add.Tensor", "aten.sub.Tensor",      "aten.mul.Tensor",
                                                  "aten.div.Tensor", "aten.maximum.default", "aten.minimum.default",
                                                  "aten.where.self"};
  const bool is_elementwise =
      std::any_of(kElementwise.begin(), kElementwise.end(), [&](OpName op) { return user.is_call(op); });
  if (!is_elementwise || !user.meta() || user.arg(size_t{0}).node() == nullptr) return false;
  const std::vector<Node*> inputs = user.inputs();
  return std::any_of(inputs.begin(), inputs.end(), [&](const Node* other) {
    return other != &value && other->meta() && !is_static(other) && other->sizes() == user.sizes();
  });
}

// Operators that compute in their inputs' common type.
bool computes_in_floats(const Node& node) {
  constexpr std::array<OpName, 11> kFloatArithmetic = {
      "aten.add.Tensor",      "aten.sub.Tensor",      "aten.mul.Tensor",  "aten.div.Tensor",
      "aten.rsub.Tensor",     "aten.add_.Tensor",     "aten.sub_.Tensor", "aten.mul_.Tensor",
      "aten.maximum.default", "aten.minimum.default", "aten.div_.Tensor"};
  return is_float_value(&node) &&
         std::any_of(kFloatArithmetic.begin(), kFloatArithmetic.end(), [&](OpName op) { return node.is_call(op); });
}

// Whole numbers, or booleans.
bool is_whole_constant(const Node& node) {
  return is_static(&node) && node.meta() && at::isIntegralType(node.meta()->dtype, /*includeBool=*/true);
}

// Names of the tensors that an operator of the graph may write.
std::unordered_set<std::string> written_attributes(const Graph& graph) {
  std::unordered_set<std::string> names;
  for (const Node* node : graph.nodes()) {
    if (!node->is_call() || !node->op().mutates()) continue;
    for (const Node* input : node->inputs()) {
      if (input->is_get_attr()) names.insert(input->target());
    }
  }
  return names;
}

}  // namespace

bool decompose_fills(GraphModule& module) {
  const Memory memory(module.graph());
  Finiteness values(module);
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node& each) { return fill_of(each).has_value(); })) {
    if (memory.is_written(*node)) continue;
    const double fill = *fill_of(*node);
    Node* x = node->arg("self").node();
    const auto here = module.graph().inserting_before(node);
    const auto number = [&](double value) {
      return add_attr(module, octet::str("fill_", node->name()), at::scalar_tensor(value, at::kFloat),
                      AttrKind::kConstant);
    };
    for (Node* user : node->users()) {
      if (!takes_a_number(*user, *node)) continue;
      user->replace_input(node, number(fill));
      changed = true;
    }
    if (node->user_count() == 0 || std::abs(fill) >= kSentinel || values.may_be_infinite(x)) continue;
    Node* filled = add_call("aten.mul.Tensor", {x, number(0.0)}, node->sizes(), *node);
    if (fill != 0.0) filled = add_call("aten.add.Tensor", {filled, number(fill)}, node->sizes(), *node);
    replace_by_parts(node, filled);
    changed = true;
  }
  return changed;
}

bool convert_whole_constants(GraphModule& module) {
  const std::unordered_set<std::string> written = written_attributes(module.graph());
  bool changed = false;
  for (Node* node : calls_where(module.graph(), computes_in_floats)) {
    for (Node* input : node->inputs()) {
      if (!is_whole_constant(*input) || written.count(input->target()) > 0) continue;
      const auto here = module.graph().inserting_before(node);
      const at::Tensor value = module.attr(input->target()).to(at::kFloat);
      node->replace_input(input, add_attr(module, octet::str("float_", input->target()), value, AttrKind::kConstant));
      changed = true;
    }
  }
  return changed;
}

}  // namespace octet::targets
