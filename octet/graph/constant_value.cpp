#include "octet/graph/constant_value.h"

#include <ATen/ScalarOps.h>
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
  const bool computes = node.is_call() && !node.op().mutates() && !node.is(Trait::kRandom);
  if ((!computes && node.kind() != NodeKind::kGetItem) || left == 0) return std::nullopt;
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

// A number where the schema has a tensor: `x + 1e-6`.
bool stands_for_tensor(const Node& node, size_t index, const c10::IValue& constant) {
  return constant.isScalar() && node.op().schema().arguments()[index].real_type()->kind() == c10::TypeKind::TensorType;
}

using Values = std::unordered_map<const Node*, c10::IValue>;
c10::IValue evaluate(const GraphModule& module, const Node& node, Values& known) {
  if (node.is_get_attr()) return module.attr(node.target()).detach();
  if (const auto found = known.find(&node); found != known.end()) return found->second;
  if (node.kind() == NodeKind::kGetItem) {
    const c10::IValue whole = evaluate(module, *node.arg(size_t{0}).node(), known);
    const auto index = static_cast<size_t>(node.arg(1).to_int());
    return whole.isTuple() ? whole.toTupleRef().elements().at(index) : c10::IValue(whole.toListRef().at(index));
  }
  torch::jit::Stack stack;
  for (size_t i = 0; i < node.args().size(); ++i) {
    const Arg& arg = node.args()[i];
    if (arg.is_node()) {
      stack.push_back(evaluate(module, *arg.node(), known));
    } else if (arg.is_constant()) {
      const c10::IValue& constant = arg.constant();
      const bool is_tensor = stands_for_tensor(node, i, constant);
      stack.push_back(is_tensor ? at::native::wrapped_scalar_tensor(constant.toScalar()) : constant);
    } else {
      c10::List<at::Tensor> list;
      for (const Arg& element : arg.list()) list.push_back(evaluate(module, *element.node(), known).toTensor());
      stack.emplace_back(list);
    }
  }
  node.op().handle().callBoxed(&stack);
  if (stack.size() == 1) return known[&node] = stack.front();
  return known[&node] = c10::ivalue::Tuple::create(std::vector<c10::IValue>(stack.begin(), stack.end()));
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
