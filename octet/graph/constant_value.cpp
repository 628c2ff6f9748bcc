#include "octet/graph/constant_value.h"

#include <ATen/core/grad_mode.h>

#include <optional>
#include <unordered_map>

namespace octet {
namespace {

// A chain of a few one-tensor steps over a parameter, as converted weights are.
constexpr int kLongestChain = 17;

// Steps from parameters to the node; nullopt where it reads something else, or the chain is longer than `left`. Each
// node is looked at once, whatever the number of ways to it; the first that is not static ends the search.
using Heights = std::unordered_map<const Node*, int>;
std::optional<int> height(const Node& node, int left, Heights& known) {
  if (node.is_get_attr()) return 0;
  if (!node.is_call() || left == 0) return std::nullopt;
  if (const auto found = known.find(&node); found != known.end()) {
    return found->second <= left ? std::optional(found->second) : std::nullopt;
  }
  const std::vector<Node*> inputs = node.inputs();
  if (inputs.empty()) return std::nullopt;
  int highest = 0;
  for (const Node* input : inputs) {
    const std::optional<int> below = height(*input, left - 1, known);
    if (!below) return std::nullopt;
    highest = std::max(highest, *below);
  }
  known[&node] = highest + 1;
  return highest + 1;
}

using Values = std::unordered_map<const Node*, c10::IValue>;
c10::IValue evaluate(const GraphModule& module, const Node& node, Values& known) {
  if (node.is_get_attr()) return module.attr(node.target()).detach();
  if (const auto found = known.find(&node); found != known.end()) return found->second;
  torch::jit::Stack stack;
  for (const Arg& arg : node.args()) {
    if (arg.is_node()) {
      stack.push_back(evaluate(module, *arg.node(), known));
    } else if (arg.is_constant()) {
      stack.push_back(arg.constant());
    } else {
      c10::List<at::Tensor> list;
      for (const Arg& element : arg.list()) list.push_back(evaluate(module, *element.node(), known).toTensor());
      stack.emplace_back(list);
    }
  }
  node.op().handle().callBoxed(&stack);
  return known[&node] = stack.front();
}

}  // namespace

bool is_constant_value(const Node& node) {
  Heights known;
  return height(node, kLongestChain, known).has_value();
}

at::Tensor constant_value(const GraphModule& module, const Node& node) {
  if (!is_constant_value(node)) return {};
  const at::NoGradGuard no_grad;
  Values known;
  const c10::IValue value = evaluate(module, node, known);
  return value.isTensor() ? value.toTensor() : at::Tensor();
}

}  // namespace octet
