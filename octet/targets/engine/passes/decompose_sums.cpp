#include <ATen/ops/ones.h>

#include <algorithm>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

// Terms that are worth an add each, and those that an int32 accumulator holds.
constexpr int64_t kFewTerms = 4;
constexpr int64_t kMostTerms = 65536;

// The dimensions that a sum of float32 goes over, in order; empty for other nodes, over samples, and for sums of one
// term or of too many.
Sizes dims_of_sum(const Node& node) {
  if (!node.is_call("aten.sum.dim_IntList") || !node.meta() || node.meta()->dtype != at::kFloat) return {};
  const Node* x = node.arg("self").node();
  if (x == nullptr || !x->meta() || is_static(x) || x->meta()->dtype != at::kFloat || x->meta()->numel() == 0)
    return {};
  if (!node.arg("dim").is_constant() || !node.arg("dim").constant().isIntList()) return {};
  Sizes dims;
  int64_t terms = 1;
  for (const int64_t dim : node.arg("dim").to_ints()) {
    dims.push_back(positive_dim(dim, x->meta()->rank()));
    terms *= x->sizes().at(static_cast<size_t>(dims.back()));
  }
  std::sort(dims.begin(), dims.end());
  const bool fits = !dims.empty() && dims.front() > 0 && terms > 1 && terms <= kMostTerms;
  return fits ? dims : Sizes();
}

Node* add_terms(Node* x, int64_t dim, const Node& node) {
  const int64_t terms = x->sizes()[static_cast<size_t>(dim)];
  Node* sum = add_slice(x, dim, 0, 1, node);
  for (int64_t i = 1; i < terms; ++i) {
    sum = add_call("aten.add.Tensor", {sum, add_slice(x, dim, i, i + 1, node)}, sum->sizes(), node);
  }
  return sum;
}

Node* convolve_channels(GraphModule& module, Node* x, const Node& node) {
  Sizes sizes = x->sizes();
  Node* ones = add_attr(module, octet::str("ones_", node.name()), at::ones({1, sizes[1], 1, 1}), AttrKind::kConstant);
  sizes[1] = 1;
  return add_call("aten.conv2d.default", {x, ones}, sizes, node);
}

// With the dimensions that are summed over as last one.
Node* multiply_rows(GraphModule& module, Node* x, const Sizes& dims, const Node& node) {
  Sizes order, sizes;
  int64_t terms = 1;
  for (int64_t dim = 0; dim < x->meta()->rank(); ++dim) {
    if (std::find(dims.begin(), dims.end(), dim) != dims.end()) continue;
    order.push_back(dim);
    sizes.push_back(x->sizes()[static_cast<size_t>(dim)]);
  }
  for (const int64_t dim : dims) {
    order.push_back(dim);
    terms *= x->sizes()[static_cast<size_t>(dim)];
  }
  sizes.push_back(terms);
  Node* rows = add_reshape(add_permute(x, order, node), sizes, 0, node);
  Node* ones = add_attr(module, octet::str("ones_", node.name()), at::ones({1, terms}), AttrKind::kConstant);
  sizes.back() = 1;
  return add_call("aten.linear.default", {rows, ones}, sizes, node);
}

}  // namespace

bool decompose_sums(GraphModule& module, const std::function<std::unordered_set<const Node*>()>& kept) {
  const std::vector<Node*> found =
      calls_where(module.graph(), [](const Node& each) { return !dims_of_sum(each).empty(); });
  if (found.empty()) return false;
  const std::unordered_set<const Node*> stays = kept();
  bool changed = false;
  for (Node* node : found) {
    if (stays.count(node) > 0) continue;
    const auto here = module.graph().inserting_before(node);
    Node* x = node->arg("self").node();
    const Sizes dims = dims_of_sum(*node);
    Node* sum = nullptr;
    if (dims.size() == 1 && x->sizes()[static_cast<size_t>(dims[0])] <= kFewTerms) {
      sum = add_terms(x, dims[0], *node);
    } else if (dims == Sizes{1} && x->meta()->rank() == 4) {
      sum = convolve_channels(module, x, *node);
    } else {
      sum = multiply_rows(module, x, dims, *node);
    }
    replace_by_parts(node, add_reshape(sum, node->sizes(), 0, *node));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
