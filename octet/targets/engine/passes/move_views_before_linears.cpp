#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool is_view(const Node& node) {
  return node.is_call("aten.flatten.using_ints") || node.is_call("aten.reshape.default") ||
         node.is_call("aten.view.default");
}

// The linear behind which the view makes a matrix for a BatchNorm, where all three can change places; else nullptr.
Node* linear_before(const Node& view) {
  Node* linear = view.arg("self").node();
  if (linear == nullptr || !linear->is_call("aten.linear.default") || only_user(*linear) != &view) return nullptr;
  const Node* input = linear->arg("input").node();
  if (input == nullptr || !input->meta() || !linear->meta() || linear->meta()->rank() < 3) return nullptr;
  if (!view.meta() || view.meta()->rank() != 2 || view.sizes()[1] != linear->sizes().back()) return nullptr;
  const Node* reader = only_user(view);
  const bool normalizes = reader != nullptr && reader->is(Trait::kBatchNorm) && reader->arg(size_t{0}).node() == &view;
  return normalizes ? linear : nullptr;
}

void swap(Node* linear, Node* view) {
  const std::vector<int64_t> result = view->sizes();
  Node* input = linear->arg("input").node();
  const int64_t columns = input->sizes().back();
  {
    const auto here = linear->graph().inserting_before(linear);
    std::vector<Arg> args = view->args();
    args[0] = input;
    if (!view->is_call("aten.flatten.using_ints")) {
      std::vector<int64_t> shape = view->args()[1].to_ints();
      shape.back() = columns;
      args[1] = shape;
    }
    linear->set_arg("input", add_call(view->target(), std::move(args), {result[0], columns}, *view));
  }
  linear->set_meta(TensorMeta{linear->meta()->dtype, result});
  replace_node(view, linear);
}

}  // namespace

bool move_views_before_linears(GraphModule& module) {
  bool changed = false;
  for (Node* view : calls_where(module.graph(), is_view)) {
    Node* linear = linear_before(*view);
    if (linear == nullptr) continue;
    swap(linear, view);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
