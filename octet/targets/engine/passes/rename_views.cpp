#include <algorithm>
#include <numeric>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Renamed = Node* (*)(Node*);

Node* viewed(Node* node) { return node->args()[0].node(); }

Node* as_reshape(Node* node) { return add_reshape(viewed(node), node->sizes(), 0, *node); }

// Where the batch itself is taken apart, it stays in the part that was left open.
Node* unflattened(Node* node) {
  if (!node->arg("sizes").is_constant()) return nullptr;
  const std::vector<int64_t> parts = node->arg("sizes").to_ints();
  const auto left_open = std::find(parts.begin(), parts.end(), -1);
  const bool takes_batch_apart = positive_dim(node->arg("dim").to_int(), viewed(node)->meta()->rank()) == 0;
  const bool is_open = takes_batch_apart && left_open != parts.end();
  const size_t open = is_open ? static_cast<size_t>(left_open - parts.begin()) : 0;
  return add_reshape(viewed(node), node->sizes(), open, *node);
}

Node* swapped(Node* node) {
  const int64_t rank = node->meta()->rank();
  const int64_t a = positive_dim(node->arg(size_t{1}).to_int(), rank);
  const int64_t b = positive_dim(node->arg(size_t{2}).to_int(), rank);
  return add_call("aten.transpose.int", {viewed(node), a, b}, node->sizes(), *node);
}

Node* turned_matrix(Node* node) {
  if (node->meta()->rank() != 2) return nullptr;
  return add_call("aten.transpose.int", {viewed(node), int64_t{0}, int64_t{1}}, node->sizes(), *node);
}

// The last two dimensions change places: mT, and adjoint of real numbers.
Node* turned_matrices(Node* node) {
  if (node->meta()->rank() < 2 || at::isComplexType(node->meta()->dtype)) return nullptr;
  return add_matrix_transpose(viewed(node), *node);
}

// tile counts the last dimensions where it is given fewer than there are.
Node* repeated(Node* node) {
  const Arg& dims = node->arg("dims");
  const auto rank = static_cast<size_t>(viewed(node)->meta()->rank());
  if (!dims.is_constant() || dims.to_ints().size() > rank) return nullptr;
  std::vector<int64_t> times = dims.to_ints();
  times.insert(times.begin(), rank - times.size(), 1);
  return add_call("aten.repeat.default", {viewed(node), times}, node->sizes(), *node);
}

Node* as_it_is(Node* node) { return viewed(node)->sizes() == node->sizes() ? viewed(node) : nullptr; }

Node* reversed_dims(Node* node) {
  std::vector<int64_t> order(static_cast<size_t>(node->meta()->rank()));
  std::iota(order.rbegin(), order.rend(), 0);
  return add_permute(viewed(node), order, *node);
}

Node* moved_dims(Node* node) {
  const int64_t rank = node->meta()->rank();
  const auto dims_of = [&](const Arg& arg) {
    std::vector<int64_t> dims = arg.constant().isInt() ? std::vector<int64_t>{arg.to_int()} : arg.to_ints();
    for (int64_t& dim : dims) dim = positive_dim(dim, rank);
    return dims;
  };
  const std::vector<int64_t> from = dims_of(node->arg(size_t{1}));
  const std::vector<int64_t> to = dims_of(node->arg(size_t{2}));
  if (from.size() != to.size()) return nullptr;
  std::vector<int64_t> order(static_cast<size_t>(rank), -1);
  for (size_t i = 0; i < from.size(); ++i) order.at(static_cast<size_t>(to[i])) = from[i];
  int64_t next = 0;
  for (int64_t& place : order) {
    if (place >= 0) continue;
    while (std::find(from.begin(), from.end(), next) != from.end()) ++next;
    place = next++;
  }
  return add_permute(viewed(node), order, *node);
}

Node* as_slice(Node* node) {
  const std::vector<int64_t>& in = viewed(node)->sizes();
  if (!node->arg("start").is_constant() || !node->arg("length").is_constant()) return nullptr;
  const int64_t dim = positive_dim(node->arg("dim").to_int(), static_cast<int64_t>(in.size()));
  const int64_t start = positive_dim(node->arg("start").to_int(), in.at(static_cast<size_t>(dim)));
  const int64_t end = start + node->arg("length").to_int();
  return add_call("aten.slice.Tensor", {viewed(node), dim, start, end}, node->sizes(), *node);
}

// Dimensions that stay as they are follow the input's.
Node* as_expand(Node* node) {
  const std::vector<int64_t>& in = viewed(node)->sizes();
  std::vector<int64_t> sizes = node->sizes();
  if (is_static(viewed(node)) && !sizes.empty() && sizes[0] == 1) {
    return add_call("aten.expand.default", {viewed(node), sizes}, sizes, *node);
  }
  if (sizes.empty() || in.size() != sizes.size() || in[0] != sizes[0]) return nullptr;
  for (size_t d = 0; d < sizes.size(); ++d) sizes[d] = in[d] == sizes[d] ? -1 : sizes[d];
  return add_call("aten.expand.default", {viewed(node), sizes}, node->sizes(), *node);
}

struct ViewRow {
  OpName op;
  Renamed rename;  // nullptr: declined
};

constexpr ViewRow kViews[] = {
    {"aten.reshape_as.default", as_reshape}, {"aten.view_as.default", as_reshape},
    {"aten.unflatten.int", unflattened},     {"aten.swapaxes.default", swapped},
    {"aten.swapdims.default", swapped},      {"aten.t.default", turned_matrix},
    {"aten.numpy_T.default", reversed_dims}, {"aten.movedim.int", moved_dims},
    {"aten.movedim.intlist", moved_dims},    {"aten.moveaxis.int", moved_dims},
    {"aten.moveaxis.intlist", moved_dims},   {"aten.narrow.default", as_slice},
    {"aten.expand_as.default", as_expand},   {"aten.broadcast_to.default", as_expand},
    {"aten.mT.default", turned_matrices},    {"aten.adjoint.default", turned_matrices},
    {"aten.ravel.default", as_reshape},      {"aten.tile.default", repeated},
    {"aten.atleast_1d.default", as_it_is},   {"aten.atleast_2d.default", as_it_is},
    {"aten.atleast_3d.default", as_it_is},
};

const ViewRow* view_row(const Node& node) {
  const ViewRow* row =
      std::find_if(std::begin(kViews), std::end(kViews), [&](const ViewRow& each) { return node.is_call(each.op); });
  return row == std::end(kViews) ? nullptr : row;
}

// A constant's view is folded, if nothing else has to be computed for it (`mask.expand_as(x)`).
bool is_view_of_a_value(const Node& node) {
  if (view_row(node) == nullptr || !node.meta() || node.meta()->numel() == 0) return false;
  const Node* input = node.args()[0].node();
  const std::vector<Node*> read = node.inputs();
  return input != nullptr && input->meta() && !std::all_of(read.begin(), read.end(), is_static);
}

}  // namespace

bool rename_views(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), is_view_of_a_value)) {
    const auto here = module.graph().inserting_before(node);
    Node* renamed = view_row(*node)->rename(node);
    if (renamed == nullptr) continue;
    if (renamed == viewed(node)) {
      replace_node(node, renamed);
    } else {
      replace_by_parts(node, renamed);
    }
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
