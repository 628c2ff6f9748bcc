#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

Node* activation_to_move(const Node& cat, const std::function<bool(const Node&)>& takes,
                         const std::function<bool(const Node&)>& joins) {
  for (const Node* input : cat.inputs()) {
    if (!takes(*input) || only_user(*input) != &cat) return nullptr;
  }
  Node* activation = only_user(cat);
  const bool moves = activation != nullptr && !cat.inputs().empty() && joins(*activation);
  return moves ? activation : nullptr;
}

}  // namespace

bool move_activations_before_concat(GraphModule& module, const std::function<bool(const Node&)>& takes,
                                    const std::function<bool(const Node&)>& joins) {
  Graph& graph = module.graph();
  bool changed = false;
  for (Node* cat : calls_where(graph, [](const Node& node) { return node.is_call("aten.cat.default"); })) {
    Node* activation = activation_to_move(*cat, takes, joins);
    if (activation == nullptr) continue;
    for (Node* input : cat->inputs()) {
      const auto here = graph.inserting_after(input);
      std::vector<Arg> args = activation->args();
      args[0] = input;
      Node* moved = graph.call(activation->op(), std::move(args), {}, activation->name());
      moved->set_meta(input->meta());
      copy_notes(*activation, *moved);
      cat->replace_input(input, moved);
    }
    replace_node(activation, cat);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
