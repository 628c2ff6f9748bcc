#include "octet/targets/engine/passes/rewrite.h"

#include "octet/quantize/spec.h"
#include "octet/support/error.h"

namespace octet::targets {

std::vector<Node*> calls_where(const Graph& graph, const std::function<bool(const Node&)>& wanted) {
  std::vector<Node*> found;
  for (Node* node : graph.nodes()) {
    if (node->is_call() && wanted(*node)) found.push_back(node);
  }
  return found;
}

bool is_static(const Node* node) { return node != nullptr && node->is_get_attr(); }

bool is_static_or_none(const Arg& arg) { return arg.is_none() || is_static(arg.node()); }

Node* only_user(const Node& node) { return node.user_count() == 1 ? node.users().front() : nullptr; }

void copy_notes(const Node& from, Node& to) {
  to.notes() = from.notes();
  to.notes().erase(kAnnotationKey);
}

Node* add_call(const std::string& op, std::vector<Arg> args, const std::vector<int64_t>& sizes, const Node& like,
               const std::string& name) {
  Node* node = like.graph().call(op, std::move(args), {}, name);
  node->set_meta(TensorMeta{like.meta() ? like.meta()->dtype : at::kFloat, sizes});
  copy_notes(like, *node);
  return node;
}

Node* add_attr(GraphModule& module, const std::string& base, const at::Tensor& value, AttrKind kind) {
  const std::string name = module.free_name(base);
  at::Tensor owned = value.detach().clone().contiguous();
  if (kind == AttrKind::kParameter && at::isFloatingType(owned.scalar_type())) owned.set_requires_grad(true);
  module.set_attr(name, owned, kind);
  Node* node = module.graph().get_attr(name);
  node->set_meta(TensorMeta{owned.scalar_type(), owned.sizes().vec()});
  return node;
}

void replace_node(Node* node, Node* replacement) {
  node->replace_all_uses_with(replacement);
  node->graph().erase(node);
}

int64_t positive_dim(int64_t dim, int64_t rank) { return dim < 0 ? dim + rank : dim; }

}  // namespace octet::targets
