#include "octet/targets/neutron/operator_rules.h"
#include "octet/targets/neutron/passes/passes.h"
#include "octet/targets/neutron/passes/rewrite.h"

namespace octet::neutron {
namespace {

Node* activation_to_move(const Node& cat, const NeutronLimits& limits) {
  for (const Node* input : cat.inputs()) {
    if (!is_fusable_compute(*input) || only_user(*input) != &cat) return nullptr;
  }
  Node* activation = only_user(cat);
  const bool moves = activation != nullptr && !cat.inputs().empty() && is_fusable_activation(*activation, limits);
  return moves ? activation : nullptr;
}

}  // namespace

bool move_activations_before_concat(GraphModule& module, const NeutronLimits& limits) {
  Graph& graph = module.graph();
  bool changed = false;
  for (Node* cat : calls_where(graph, [](const Node& node) { return node.is_call("aten.cat.default"); })) {
    Node* activation = activation_to_move(*cat, limits);
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

}  // namespace octet::neutron
