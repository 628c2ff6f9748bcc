#include <algorithm>
#include <numeric>

#include "octet/graph/constant_value.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

int64_t total(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

bool is_product(const Node& node) { return node.is_call("aten.matmul.default") || node.is_call("aten.mm.default"); }

Node* right_factor(const Node& node) { return node.arg(size_t{1}).node(); }

// Factors in a type that is quantized, not empty, and not both known beforehand.
bool can_decompose(const Node& node) {
  if (!is_product(node) || !node.meta() || node.meta()->numel() == 0) return false;
  const Node* a = node.arg("self").node();
  const Node* b = right_factor(node);
  if (a == nullptr || b == nullptr || !a->meta() || !b->meta()) return false;
  if (!at::isFloatingType(a->meta()->dtype) || !at::isFloatingType(b->meta()->dtype)) return false;
  if (is_constant_value(*a) && is_constant_value(*b)) return false;
  return node.is_call("aten.matmul.default") || !is_constant_value(*b);  // x by a constant matrix stays mm
}

// How the dimensions in front of the matrices meet: those that both have, and those along which the left factor alone
// has matrices. Numbers are dimensions of the left factor.
struct Batches {
  Sizes common;
  Sizes left_only;
};

// nullopt where the right factor has more matrices than the left one.
std::optional<Batches> batches_of(const Node& a, const Node& b) {
  const size_t lead = a.sizes().size() - 2;
  if (b.sizes().size() > a.sizes().size()) return std::nullopt;
  const size_t missing = a.sizes().size() - b.sizes().size();
  Batches batches;
  for (size_t d = 0; d < lead; ++d) {
    const int64_t of_a = a.sizes()[d];
    const int64_t of_b = d < missing ? 0 : b.sizes()[d - missing];
    const bool only = d < missing || (of_b == 1 && (of_a != 1 || is_constant_value(b)));
    if (!only && of_a != of_b) return std::nullopt;
    (only ? batches.left_only : batches.common).push_back(static_cast<int64_t>(d));
  }
  return batches;
}

class ProductWriter {
 public:
  explicit ProductWriter(const Node& like) : like_(like) {}

  // a @ b of matrices or more; nullptr, and nothing made, where their dimensions meet in another way.
  Node* product(Node* a, Node* b) const {
    if (is_constant_value(*b) && b->sizes().size() == 2) return by_constant(a, b);
    if (is_constant_value(*a) && a->sizes().size() == 2) {
      return add_matrix_transpose(linear(add_matrix_transpose(b, like_), a), like_);
    }
    if (const auto batches = batches_of(*a, *b)) return in_three_dimensions(a, b, *batches);
    // (b' a')' has the factor with more matrices on the left.
    const bool turns = a->sizes().size() <= b->sizes().size() && can_meet(*b, *a);
    if (!turns) return nullptr;
    return add_matrix_transpose(product(add_matrix_transpose(b, like_), add_matrix_transpose(a, like_)), like_);
  }

 private:
  static bool can_meet(const Node& a, const Node& b) { return batches_of(a, b).has_value(); }

  // x @ w for a matrix w.
  Node* by_constant(Node* x, Node* w) const {
    if (x->sizes().size() != 2) return linear(x, add_matrix_transpose(w, like_));
    return add_call("aten.mm.default", {x, w}, {x->sizes()[0], w->sizes()[1]}, like_);
  }

  Node* linear(Node* x, Node* weight) const {
    Sizes sizes = x->sizes();
    sizes.back() = weight->sizes()[0];
    return add_call("aten.linear.default", {x, weight}, sizes, like_);
  }

  // Matrices that the right factor has but once become rows of one matrix on the left.
  Node* in_three_dimensions(Node* a, Node* b, const Batches& batches) const {
    const Sizes& sizes = a->sizes();
    const size_t lead = sizes.size() - 2;
    const int64_t rows = sizes[lead], depth = sizes.back(), columns = b->sizes().back();
    Sizes order = batches.common;
    order.insert(order.end(), batches.left_only.begin(), batches.left_only.end());
    Sizes common, left_only;
    for (const int64_t d : batches.common) common.push_back(sizes[static_cast<size_t>(d)]);
    for (const int64_t d : batches.left_only) left_only.push_back(sizes[static_cast<size_t>(d)]);
    Sizes unfolded = common;
    unfolded.insert(unfolded.end(), left_only.begin(), left_only.end());
    unfolded.insert(unfolded.end(), {rows, columns});
    Sizes all = order;
    all.insert(all.end(), {static_cast<int64_t>(lead), static_cast<int64_t>(lead) + 1});

    const int64_t count = total(common);
    const Sizes folded = {count, total(left_only) * rows, depth};
    // Dimension 0 of the left factor has the samples.
    const auto samples = static_cast<size_t>(std::find(order.begin(), order.end(), 0) - order.begin());
    const size_t open = samples < common.size() ? 0 : 1;
    Node* left = lead == 0 ? with_a_batch(a) : add_reshape(add_permute(a, all, like_), folded, open, like_);
    Node* right = b->sizes().size() == 2 ? with_a_batch(b) : add_reshape(b, {count, depth, columns}, 0, like_);
    Node* product = add_call("aten.bmm.default", {left, right}, {count, folded[1], columns}, like_);
    if (lead == 0) return add_call("aten.squeeze.dim", {product, int64_t{0}}, {rows, columns}, like_);
    return add_permute(add_reshape(product, unfolded, samples, like_), inverse(all), like_);
  }

  Node* with_a_batch(Node* matrix) const {
    Sizes sizes = matrix->sizes();
    sizes.insert(sizes.begin(), 1);
    return add_call("aten.unsqueeze.default", {matrix, int64_t{0}}, sizes, like_);
  }

  static Sizes inverse(const Sizes& order) {
    Sizes back(order.size());
    for (size_t i = 0; i < order.size(); ++i) back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
    return back;
  }

  const Node& like_;
};

// A vector as a matrix of one row, or of one column.
Node* as_matrix(Node* x, int64_t dim, const Node& like) {
  if (x->sizes().size() != 1) return x;
  Sizes sizes = x->sizes();
  sizes.insert(dim == 0 ? sizes.begin() : sizes.end(), 1);
  return add_call("aten.unsqueeze.default", {x, dim}, sizes, like);
}

bool has_vector(const Node& node) {
  return node.arg("self").node()->meta()->rank() == 1 || right_factor(node)->meta()->rank() == 1;
}

bool decompose_product(Node* node) {
  Node* a = node->arg("self").node();
  Node* b = right_factor(*node);
  const auto here = node->graph().inserting_before(node);
  const ProductWriter writer(*node);
  if (!has_vector(*node)) {
    Node* result = writer.product(a, b);
    if (result == nullptr) return false;
    replace_by_parts(node, result);
    return true;
  }
  // torch drops the dimension that a vector lacks.
  const bool row = a->meta()->rank() == 1, column = b->meta()->rank() == 1;
  if (row && column) return false;
  Sizes sizes = node->sizes();
  const int64_t dim = row ? -2 : -1;
  sizes.insert(row ? sizes.end() - 1 : sizes.end(), 1);
  Node* result = add_call("aten.matmul.default", {as_matrix(a, 0, *node), as_matrix(b, 1, *node)}, sizes, *node);
  replace_by_parts(node, add_call("aten.squeeze.dim", {result, dim}, node->sizes(), *node));
  return true;
}

}  // namespace

bool decompose_products(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), can_decompose)) changed |= decompose_product(node);
  return changed;
}

}  // namespace octet::targets
