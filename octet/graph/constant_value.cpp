#include "octet/graph/constant_value.h"

#include <ATen/core/grad_mode.h>

namespace octet {
namespace {

// A chain of a few one-tensor steps over a parameter, as converted weights are.
constexpr int kLongestChain = 16;

bool is_static_node(const Node& node, int depth) {
  if (node.is_get_attr()) return true;
  if (!node.is_call() || depth > kLongestChain) return false;
  const std::vector<Node*> inputs = node.inputs();
  return !inputs.empty() && std::all_of(inputs.begin(), inputs.end(),
                                        [&](const Node* input) { return is_static_node(*input, depth + 1); });
}

c10::IValue evaluate(const GraphModule& module, const Node& node) {
  if (node.is_get_attr()) return module.attr(node.target()).detach();
  torch::jit::Stack stack;
  for (const Arg& arg : node.args()) {
    if (arg.is_node()) {
      stack.push_back(evaluate(module, *arg.node()));
    } else if (arg.is_constant()) {
      stack.push_back(arg.constant());
    } else {
      c10::List<at::Tensor> list;
      for (const Arg& element : arg.list()) list.push_back(evaluate(module, *element.node()).toTensor());
      stack.emplace_back(list);
    }
  }
  node.op().handle().callBoxed(&stack);
  return stack.front();
}

}  // namespace

bool is_constant_value(const Node& node) { return is_static_node(node, 0); }

at::Tensor constant_value(const GraphModule& module, const Node& node) {
  if (!is_constant_value(node)) return {};
  const at::NoGradGuard no_grad;
  const c10::IValue value = evaluate(module, node);
  return value.isTensor() ? value.toTensor() : at::Tensor();
}

}  // namespace octet
