#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

constexpr float kHidden = -std::numeric_limits<float>::infinity();

bool is_float_tensor(const Node* node) {
  return node != nullptr && node->meta() && at::isFloatingType(node->meta()->dtype);
}

// The mask can be added to the scores: there is none, it is a float, or a constant of booleans.
bool has_additive_mask(const Node& attention) {
  if (attention.arg("attn_mask").is_none()) return true;
  const Node* mask = attention.arg("attn_mask").node();
  if (attention.arg("is_causal").to_bool() || mask == nullptr || !mask->meta()) return false;
  return is_float_tensor(mask) || (is_static(mask) && mask->meta()->dtype == at::kBool);
}

bool is_one_matrix(const Sizes& sizes) {
  return sizes.size() >= 2 && std::all_of(sizes.begin(), sizes.end() - 2, [](int64_t size) { return size == 1; });
}

// Heads of the query for one of key and value: 1 unless it says enable_gqa. 0: it cannot be told.
int64_t query_groups(const Node& attention) {
  if (!attention.arg("enable_gqa").to_bool()) return 1;
  const Sizes& query = attention.arg("query").node()->sizes();
  const Sizes& key = attention.arg("key").node()->sizes();
  const Sizes& value = attention.arg("value").node()->sizes();
  if (query.size() < 3) return 1;
  const size_t heads = query.size() - 3;
  if (key[heads] != value[heads] || query[heads] % key[heads] != 0) return 0;
  const int64_t groups = query[heads] / key[heads];
  const Node* mask = attention.arg("attn_mask").node();
  const bool is_shared = mask == nullptr || (is_static(mask) && is_one_matrix(mask->sizes()));
  return groups == 1 || is_shared ? groups : 0;
}

bool is_attention(const Node& node) {
  if (!node.is_call("aten.scaled_dot_product_attention.default") || !node.meta()) return false;
  for (const char* argument : {"query", "key", "value"}) {
    const Node* tensor = node.arg(argument).node();
    if (!is_float_tensor(tensor) || tensor->meta()->rank() != node.meta()->rank() || tensor->meta()->numel() == 0) {
      return false;
    }
  }
  const bool is_plain = node.arg("dropout_p").is_constant() && node.arg("dropout_p").to_double() == 0.0 &&
                        node.arg("scale").is_constant();
  return is_plain && node.meta()->rank() >= 2 && has_additive_mask(node) && query_groups(node) > 0;
}

double scale_of(const Node& attention) {
  if (!attention.arg("scale").is_none()) return attention.arg("scale").to_double();
  return 1.0 / std::sqrt(static_cast<double>(attention.arg("query").node()->sizes().back()));
}

at::Tensor added_mask(const at::Tensor& seen) {
  return at::zeros(seen.sizes(), at::kFloat).masked_fill(seen.logical_not(), kHidden);
}

// A constant mask of one matrix without the dimensions in front of it.
Node* matrix_of(GraphModule& module, const Node* mask, const Node& attention) {
  const at::Tensor value = module.attr(mask->target());
  return add_attr(module, octet::str("mask_", attention.name()), value.reshape({value.size(-2), value.size(-1)}),
                  module.attr_kind(mask->target()));
}

// What is added to the scores, or nullptr. `groups` heads of the query stand in one matrix, one after the other.
Node* mask_of(GraphModule& module, const Node& attention, const Sizes& scores, int64_t groups) {
  Node* given = attention.arg("attn_mask").node();
  const bool is_boolean = given != nullptr && given->meta()->dtype == at::kBool;
  if (given != nullptr && !is_boolean && groups == 1) return given;
  at::Tensor mask;
  if (given != nullptr) {
    mask = module.attr(given->target());
  } else if (attention.arg("is_causal").to_bool()) {
    mask = at::ones({scores[scores.size() - 2] / groups, scores.back()}, at::kBool).tril();
  } else {
    return nullptr;
  }
  if (mask.scalar_type() == at::kBool) mask = added_mask(mask);
  if (groups > 1) mask = mask.reshape({mask.size(-2), mask.size(-1)}).expand({-1, scores.back()}).repeat({groups, 1});
  return add_attr(module, octet::str("mask_", attention.name()), mask, AttrKind::kConstant);
}

// softmax(scale * q @ k' + mask) @ v
Node* attended(GraphModule& module, const Node& node, Node* query, Node* key, Node* value, const Sizes& scores,
               int64_t groups) {
  query = add_scaled(module, query, scale_of(node), node);
  Node* weights = add_call("aten.matmul.default", {query, add_matrix_transpose(key, node)}, scores, node);
  if (Node* mask = mask_of(module, node, scores, groups); mask != nullptr) {
    if (mask->sizes().size() > scores.size()) mask = matrix_of(module, mask, node);
    weights = add_call("aten.add.Tensor", {weights, mask}, scores, node);
  }
  weights = add_call("aten.softmax.int", {weights, int64_t{-1}}, scores, node);
  Sizes sizes = scores;
  sizes.back() = value->sizes().back();
  return add_call("aten.matmul.default", {weights, value}, sizes, node);
}

// Samples and heads as one dimension, where no mask tells them apart: no view stands between the products then.
bool is_one_row_of_matrices(const Node& node, const Sizes& query) {
  if (query.size() < 4) return false;
  for (const char* argument : {"key", "value"}) {
    const Sizes& other = node.arg(argument).node()->sizes();
    if (!std::equal(query.begin(), query.end() - 2, other.begin())) return false;
  }
  const Node* mask = node.arg("attn_mask").node();
  return mask == nullptr || mask->meta()->rank() == 2 || (is_static(mask) && is_one_matrix(mask->sizes()));
}

Node* decomposed(GraphModule& module, Node* node) {
  Node* query = node->arg("query").node();
  Node* key = node->arg("key").node();
  Node* value = node->arg("value").node();
  const int64_t groups = query_groups(*node);
  if (groups > 1) {  // heads that read one key are rows of one matrix
    Sizes sizes = query->sizes();
    sizes[sizes.size() - 3] /= groups;
    sizes[sizes.size() - 2] *= groups;
    query = add_reshape(query, std::move(sizes), 0, *node);
  }
  Sizes scores = query->sizes();
  scores.back() = key->sizes()[key->sizes().size() - 2];
  Node* result = nullptr;
  if (is_one_row_of_matrices(*node, query->sizes())) {
    const int64_t matrices = std::accumulate(scores.begin(), scores.end() - 2, int64_t{1}, std::multiplies<>());
    const auto in_a_row = [&](Node* tensor) {
      const Sizes& sizes = tensor->sizes();
      return add_reshape(tensor, {matrices, sizes[sizes.size() - 2], sizes.back()}, 0, *node);
    };
    const Sizes row = {matrices, scores[scores.size() - 2], scores.back()};
    result = attended(module, *node, in_a_row(query), in_a_row(key), in_a_row(value), row, groups);
  } else {
    result = attended(module, *node, query, key, value, scores, groups);
  }
  return add_reshape(result, node->sizes(), 0, *node);
}

// Without a mask or with one of floats, and as many heads on each side.
bool is_traceable(const Node& node) {
  if (!is_attention(node) || node.arg("is_causal").to_bool()) return false;
  const Node* mask = node.arg("attn_mask").node();
  const Sizes& query = node.arg("query").node()->sizes();
  const Sizes& key = node.arg("key").node()->sizes();
  const Sizes& value = node.arg("value").node()->sizes();
  return query.size() >= 3 && (mask == nullptr || is_float_tensor(mask)) &&
         std::equal(query.begin(), query.end() - 2, key.begin()) &&
         std::equal(query.begin(), query.end() - 2, value.begin());
}

// What ATen's matmul calls.
Node* traced_product(Node* first, Node* second, const std::string& view_back, const Node& node) {
  const auto in_a_row = [&](Node* x) {
    Node* spread = add_call("aten.expand.default", {x, Sizes(x->sizes().size(), -1)}, x->sizes(), node);
    const Sizes& sizes = x->sizes();
    const int64_t matrices = std::accumulate(sizes.begin(), sizes.end() - 2, int64_t{1}, std::multiplies<>());
    return add_call("aten.view.default", {spread, Sizes{-1, sizes[sizes.size() - 2], sizes.back()}},
                    {matrices, sizes[sizes.size() - 2], sizes.back()}, node);
  };
  Node* left = in_a_row(first);
  Node* right = in_a_row(second);
  Node* product =
      add_call("aten.bmm.default", {left, right}, {left->sizes()[0], left->sizes()[1], right->sizes()[2]}, node);
  Sizes sizes = first->sizes();
  sizes.back() = second->sizes().back();
  Sizes open = sizes;
  open.front() = -1;
  return add_call(view_back, {product, open}, sizes, node);
}

// What ATen calls: by its kernel for the CPU where that takes the sizes, whose result lies as if it came from there.
Node* traced_attention(const Node& node) {
  Node* query = node.arg("query").node();
  Node* key = node.arg("key").node();
  Node* value = node.arg("value").node();
  const bool by_kernel = query->sizes().size() == 4 && query->sizes().back() == value->sizes().back();
  const std::string view_back = by_kernel ? "aten.view.default" : "aten._unsafe_view.default";
  const double root = std::sqrt(scale_of(node));
  query = add_call("aten.mul.Scalar", {query, root}, query->sizes(), node);
  key = add_matrix_transpose(key, node);
  key = add_call("aten.mul.Scalar", {key, root}, key->sizes(), node);
  Node* weights = traced_product(query, key, view_back, node);
  if (Node* mask = node.arg("attn_mask").node(); mask != nullptr) {
    weights = add_call("aten.add.Tensor", {weights, mask}, weights->sizes(), node);
  }
  weights = add_call("aten._safe_softmax.default", {weights, int64_t{-1}}, weights->sizes(), node);
  Node* result = traced_product(weights, value, view_back, node);
  if (!by_kernel) return result;
  Node* rows_first = add_permute(result, {2, 0, 1, 3}, node);
  return add_permute(add_call("aten.clone.default", {rows_first}, rows_first->sizes(), node), {1, 2, 0, 3}, node);
}

}  // namespace

bool trace_attention(GraphModule& module) {
  const std::vector<Node*> found = calls_where(module.graph(), is_traceable);
  for (Node* node : found) {
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, traced_attention(*node));
  }
  return !found.empty();
}

bool decompose_attention(GraphModule& module) {
  const std::vector<Node*> found = calls_where(module.graph(), is_attention);
  for (Node* node : found) {
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, decomposed(module, node));
  }
  return !found.empty();
}

}  // namespace octet::targets
