#include "octet/targets/engine/passes/rewrite.h"

#include <ATen/ops/zeros.h>

#include <numeric>

#include "octet/quantize/compare.h"
#include "octet/quantize/spec.h"
#include "octet/support/error.h"
#include "octet/targets/engine/passes/memory.h"

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

bool reads_type_alone(const Node& node, const Node& input) {
  const bool is_new = node.is_call("aten.new_zeros.default") || node.is_call("aten.new_ones.default") ||
                      node.is_call("aten.new_full.default");
  return is_new && node.args()[0].node() == &input && input.meta();
}

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
  node->notes().erase(kFloatNameNote);  // a part is not the whole
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

Node* add_reshape(Node* x, std::vector<int64_t> sizes, size_t open, const Node& like) {
  if (x->sizes() == sizes) return x;
  const std::vector<int64_t> shape = sizes;
  sizes.at(open) = -1;
  return add_call("aten.reshape.default", {x, sizes}, shape, like);
}

Node* add_permute(Node* x, const std::vector<int64_t>& order, const Node& like) {
  std::vector<int64_t> same(order.size());
  std::iota(same.begin(), same.end(), 0);
  if (order == same) return x;
  std::vector<int64_t> sizes;
  for (const int64_t dim : order) sizes.push_back(x->sizes().at(static_cast<size_t>(dim)));
  return add_call("aten.permute.default", {x, order}, sizes, like);
}

Node* add_slice(Node* x, int64_t dim, int64_t begin, int64_t end, const Node& like, int64_t step) {
  std::vector<int64_t> sizes = x->sizes();
  int64_t& size = sizes.at(static_cast<size_t>(dim));
  if (begin == 0 && end == size && step == 1) return x;
  size = (end - begin + step - 1) / step;
  std::vector<Arg> args = {x, dim, begin, end};
  if (step != 1) args.emplace_back(step);
  Node* slice = add_call("aten.slice.Tensor", std::move(args), sizes, *x);
  copy_notes(like, *slice);
  return slice;
}

Node* add_matrix_transpose(Node* x, const Node& like) {
  std::vector<int64_t> sizes = x->sizes();
  std::swap(sizes.at(sizes.size() - 2), sizes.back());
  return add_call("aten.transpose.int", {x, int64_t{-2}, int64_t{-1}}, sizes, like);
}

Node* add_scaled(GraphModule& module, Node* x, double factor, const Node& like) {
  if (factor == 1.0) return x;
  const at::Tensor value = at::scalar_tensor(factor, at::TensorOptions(x->meta()->dtype));
  Node* multiplier = add_attr(module, octet::str("factor_", like.name()), value, AttrKind::kConstant);
  return add_call("aten.mul.Tensor", {x, multiplier}, x->sizes(), like);
}

void replace_node(Node* node, Node* replacement) {
  node->replace_all_uses_with(replacement);
  node->graph().erase(node);
}

void replace_by_parts(Node* node, Node* replacement) {
  replacement->notes()[kFloatNameNote] = float_name(*node);
  replace_node(node, replacement);
}

bool may_be_replaced(const Node& node) {
  if (!node.op().mutates()) return true;
  const Node* root = &node;
  while (const Node* below = may_share_with(*root)) root = below;
  return root->is_call() && !is_read_behind(*root, node);
}

at::Tensor with_groups(const at::Tensor& weight, int64_t from, int64_t to) {
  if (from == to) return weight;
  const int64_t outputs = weight.size(0) / from;
  const int64_t inputs = weight.size(1);
  const int64_t joined = from / to;
  std::vector<int64_t> sizes = weight.sizes().vec();
  sizes[1] = inputs * joined;
  at::Tensor wide = at::zeros(sizes, weight.options().requires_grad(false));
  for (int64_t group = 0; group < from; ++group) {
    wide.narrow(0, group * outputs, outputs)
        .narrow(1, group % joined * inputs, inputs)
        .copy_(weight.detach().narrow(0, group * outputs, outputs));
  }
  return wide;
}

int64_t positive_dim(int64_t dim, int64_t rank) { return dim < 0 ? dim + rank : dim; }

}  // namespace octet::targets
