#include "octet/support/log.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool can_split(const Node& gru) {
  if (!gru.is_call("aten.gru.input") || gru.arg("num_layers").to_int() < 2) return false;
  if (gru.arg("dropout").to_double() != 0.0 && gru.arg("train").to_bool()) return false;
  const Node* hidden = gru.arg("hx").node();
  if (hidden == nullptr || !hidden->meta() || hidden->meta()->rank() != 3 || !gru.arg("params").is_list()) return false;
  if (gru.element_metas().size() != 2) return false;
  for (const Node* user : gru.users()) {
    if (user->kind() != NodeKind::kGetItem) return false;
  }
  return true;
}

bool split(Node* gru) {
  const std::string where = gru->where();
  const std::vector<Arg> params = gru->arg("params").list();
  const int64_t layers = gru->arg("num_layers").to_int();
  const int64_t directions = gru->arg("bidirectional").to_bool() ? 2 : 1;
  const int64_t per_layer = directions * (gru->arg("has_biases").to_bool() ? 4 : 2);
  if (static_cast<int64_t>(params.size()) != layers * per_layer) return false;

  Graph& graph = gru->graph();
  const auto here = graph.inserting_before(gru);
  Node* hidden = gru->arg("hx").node();
  std::vector<int64_t> state_sizes = hidden->sizes();
  state_sizes[0] = directions;
  Node* sequence = gru->arg("input").node();
  std::vector<Arg> states;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const int64_t start = layer * directions;
    Node* state = add_call("aten.slice.Tensor", {hidden, int64_t{0}, start, start + directions}, state_sizes, *hidden);
    std::vector<Arg> args = gru->args();
    args[0] = sequence;
    args[1] = state;
    args[2] = Arg(std::vector<Arg>(params.begin() + layer * per_layer, params.begin() + (layer + 1) * per_layer));
    Node* step = graph.call(gru->op(), std::move(args), {}, gru->name() + "_layer");
    step->set_arg("num_layers", int64_t{1});
    copy_notes(*gru, *step);
    const TensorMeta sequence_meta = gru->element_metas()[0];
    const TensorMeta state_meta{sequence_meta.dtype, state_sizes};
    step->set_element_metas({sequence_meta, state_meta});
    sequence = graph.get_item(step, 0);
    sequence->set_meta(sequence_meta);
    Node* last = graph.get_item(step, 1);
    last->set_meta(state_meta);
    states.emplace_back(last);
  }
  Node* all_states = add_call("aten.cat.default", {Arg(std::move(states)), int64_t{0}}, hidden->sizes(), *hidden);
  for (Node* item : gru->users()) replace_node(item, item->args()[1].to_int() == 0 ? sequence : all_states);
  graph.erase(gru);
  if (all_states->user_count() == 0) graph.erase(all_states);
  log::info("[", where, "] is split into ", layers, " layers");
  return true;
}

}  // namespace

bool split_gru_layers(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), can_split)) changed |= split(node);
  return changed;
}

}  // namespace octet::targets
