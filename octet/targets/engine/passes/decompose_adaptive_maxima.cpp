#include <algorithm>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

// Windows that are worth more than one operator that takes them all.
constexpr int64_t kMostWindows = 32;

// The element of the pool's two results that is read; nullptr where its places are, or nothing is.
Node* values_of(const Node& pool) {
  const std::vector<Node*> users = pool.users();
  Node* values = nullptr;
  for (Node* user : users) {
    if (user->kind() != NodeKind::kGetItem) return nullptr;
    if (user->user_count() == 0) continue;
    if (user->arg(size_t{1}).to_int() != 0 || values != nullptr) return nullptr;
    values = user;
  }
  return values;
}

bool can_take(const Node& pool) {
  const bool is_line = pool.is_call("aten.adaptive_max_pool1d.default");
  if (!is_line && !pool.is_call("aten.adaptive_max_pool2d.default")) return false;
  const Node* x = pool.arg("self").node();
  const size_t rank = is_line ? 3 : 4;
  const Node* values = values_of(pool);
  if (values == nullptr || !values->meta() || x == nullptr || !x->meta() || x->sizes().size() != rank) return false;
  if (values->meta()->numel() == 0) return false;
  for (size_t dim = 2; dim < rank; ++dim) {
    const int64_t from = x->sizes()[dim], to = values->sizes()[dim];
    if (to > kMostWindows && from % to != 0) return false;
  }
  return true;
}

// The greatest of each window along one dimension; its windows are those of the average of the same name.
Node* best_along(Node* x, size_t dim, int64_t to, const Node& like) {
  const int64_t from = x->sizes()[dim];
  if (from == to) return x;
  std::vector<Arg> best;
  Sizes sizes = x->sizes();
  sizes[dim] = 1;
  for (int64_t i = 0; i < to; ++i) {
    const int64_t begin = i * from / to, end = ((i + 1) * from + to - 1) / to;
    Node* window = add_slice(x, static_cast<int64_t>(dim), begin, end, like);
    best.emplace_back(add_call("aten.amax.default", {window, Sizes{static_cast<int64_t>(dim)}, true}, sizes, like));
  }
  if (to == 1) return best.front().node();
  sizes[dim] = to;
  return add_call("aten.cat.default", {std::move(best), static_cast<int64_t>(dim)}, sizes, like);
}

Node* best_of_windows(const Node& pool, const Node& values) {
  Node* x = pool.arg("self").node();
  const Sizes& out = values.sizes();
  const bool is_image = out.size() == 4;
  const int64_t rows = is_image ? x->sizes()[2] / out[2] : 1, columns = x->sizes().back() / out.back();
  const bool is_even = x->sizes().back() % out.back() == 0 && (!is_image || x->sizes()[2] % out[2] == 0);
  const bool is_one = std::all_of(out.begin() + 2, out.end(), [](int64_t size) { return size == 1; });
  if (is_one) {
    const Sizes dims = is_image ? Sizes{2, 3} : Sizes{2};
    return add_call("aten.amax.default", {x, dims, true}, out, values);
  }
  if (is_even && is_image) {
    return add_call("aten.max_pool2d.default", {x, Sizes{rows, columns}, Sizes{rows, columns}}, out, values);
  }
  if (is_even) return add_call("aten.max_pool1d.default", {x, Sizes{columns}, Sizes{columns}}, out, values);
  for (size_t dim = 2; dim < out.size(); ++dim) x = best_along(x, dim, out[dim], values);
  return x;
}

// max and min along a dimension, of which the values alone are read.
bool is_extremum_of_values(const Node& node) {
  if (!node.is_call("aten.max.dim") && !node.is_call("aten.min.dim")) return false;
  const Node* x = node.arg("self").node();
  const Node* values = values_of(node);
  return values != nullptr && values->meta() && x != nullptr && x->meta() && x->meta()->rank() > 0 &&
         at::isFloatingType(x->meta()->dtype) && node.arg("dim").is_constant();
}

Node* extremum_of(const Node& node, const Node& values) {
  Node* x = node.arg("self").node();
  const Sizes dims = {positive_dim(node.arg("dim").to_int(), x->meta()->rank())};
  const char* op = node.is_call("aten.max.dim") ? "aten.amax.default" : "aten.amin.default";
  return add_call(op, {x, dims, node.arg("keepdim").to_bool()}, values.sizes(), values);
}

}  // namespace

bool decompose_adaptive_maxima(GraphModule& module) {
  const std::vector<Node*> found =
      calls_where(module.graph(), [](const Node& node) { return can_take(node) || is_extremum_of_values(node); });
  for (Node* pool : found) {
    Node* values = values_of(*pool);
    const auto here = module.graph().inserting_before(values);
    const bool is_pool = can_take(*pool);
    replace_by_parts(values, is_pool ? best_of_windows(*pool, *values) : extremum_of(*pool, *values));
    for (Node* left : pool->users()) module.graph().erase(left);
    module.graph().erase(pool);
  }
  return !found.empty();
}

}  // namespace octet::targets
