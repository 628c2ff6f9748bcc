#include "octet/quantize/constant_fold.h"

#include <ATen/core/grad_mode.h>

#include "octet/support/error.h"

namespace octet {
namespace {

// detach_, which constants in forward are exported with, cuts from the gradient and leaves the numbers.
bool keeps_numbers(const Node& node) { return !node.op().mutates() || node.is_call("aten.detach_.default"); }

// What the program itself writes, directly or through a view: values, and tensors of the module by their names.
struct Written {
  std::unordered_set<const Node*> values;
  std::set<std::string> attrs;
};

// A value that an operator computed anew is no view: relu_ behind a convolution writes the convolution's result, not
// its weight.
Written written_in(const Graph& graph) {
  Written written;
  std::unordered_set<const Node*>& traced = written.values;
  const auto trace = [&](const Arg& arg) { arg.for_each_node([&](const Node* node) { traced.insert(node); }); };
  const std::vector<Node*> nodes = graph.nodes();
  // Backwards: whoever writes a value or a view of it stands behind it.
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    const Node& node = **it;
    const bool is_traced = traced.count(&node) > 0;
    if (is_traced && node.is_get_attr()) written.attrs.insert(node.target());
    for (size_t i = 0; i < node.args().size(); ++i) {
      const bool is_view = !node.is_call() || node.op().schema().arguments()[i].alias_info() != nullptr;
      if ((is_traced && is_view) || (node.is_call() && !keeps_numbers(node) && node.op().writes_argument(i))) {
        trace(node.arg(i));
      }
    }
  }
  return written;
}

// Runs the part of the program that leads to `targets`, which needs no input.
std::vector<at::Tensor> evaluate(GraphModule& module, const std::vector<Node*>& targets) {
  const std::vector<Node*> nodes = module.graph().nodes();
  std::unordered_set<const Node*> needed(targets.begin(), targets.end());
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    if (needed.count(*it) == 0) continue;
    for (const Node* input : (*it)->inputs()) needed.insert(input);
  }
  GraphModule part;
  NodeMap copies;
  for (Node* node : nodes) {
    if (needed.count(node) == 0) continue;
    if (node->is_get_attr()) {
      if (!part.has_attr(node->target())) part.set_attr(node->target(), module.attr(node->target()), AttrKind::kBuffer);
      copies[node] = part.graph().get_attr(node->target());
      continue;
    }
    if (node->kind() == NodeKind::kGetItem) {
      copies[node] = part.graph().get_item(copies.at(node->arg(0).node()), node->arg(1).to_int());
      continue;
    }
    std::vector<Arg> args;
    for (const Arg& arg : node->args()) args.push_back(arg.map_nodes([&](Node* input) { return copies.at(input); }));
    copies[node] = part.graph().call(node->op(), std::move(args));
  }
  std::vector<Arg> results;
  for (Node* target : targets) results.emplace_back(copies.at(target));
  part.graph().output(std::move(results));
  return part.run({});
}

}  // namespace

std::unordered_set<const Node*> constant_nodes(const Graph& graph) {
  const Written written = written_in(graph);
  std::unordered_set<const Node*> constant;
  for (const Node* node : graph.nodes()) {
    if (node->is_get_attr() && !written.attrs.count(node->target())) constant.insert(node);
    const bool computes =
        node->is_call() && keeps_numbers(*node) && !node->is(Trait::kRandom) && written.values.count(node) == 0;
    if ((!computes && node->kind() != NodeKind::kGetItem) || node->is(Trait::kDequantize)) continue;
    const std::vector<Node*> inputs = node->inputs();
    const bool fixed =
        std::all_of(inputs.begin(), inputs.end(), [&](const Node* input) { return constant.count(input) > 0; });
    if (fixed && !inputs.empty()) constant.insert(node);
  }
  return constant;
}

size_t fold_constant_quantizes(GraphModule& module) {
  const at::NoGradGuard no_grad;
  const auto constant = constant_nodes(module.graph());
  std::vector<Node*> targets;
  for (Node* node : module.graph().nodes()) {
    if (node->is(Trait::kQuantize) && constant.count(node)) targets.push_back(node);
  }
  if (targets.empty()) return 0;
  const std::vector<at::Tensor> values = evaluate(module, targets);
  size_t number = 0;
  for (size_t i = 0; i < targets.size(); ++i) {
    std::string name;
    do {
      name = octet::str("_frozen_param", number++);
    } while (module.has_attr(name));
    module.set_attr(name, values[i], AttrKind::kBuffer);
    const auto point = module.graph().inserting_before(targets[i]);
    Node* frozen = module.graph().get_attr(name);
    frozen->set_meta(TensorMeta{values[i].scalar_type(), values[i].sizes().vec()});
    targets[i]->replace_all_uses_with(frozen);
  }
  module.graph().eliminate_dead_code();
  return targets.size();
}

}  // namespace octet
