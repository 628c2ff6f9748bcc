#include "octet/targets/engine/passes/norms.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// int8 squares of this many elements stay within an int32 accumulator.
constexpr int64_t kMostInARow = 65536;

int64_t product(const std::vector<int64_t>& sizes, size_t first, size_t last) {
  return std::accumulate(sizes.begin() + static_cast<ptrdiff_t>(first), sizes.begin() + static_cast<ptrdiff_t>(last),
                         int64_t{1}, std::multiplies<>());
}

// Over the last dimensions.
Norm of_last(const Node& node, bool centered, double eps) {
  const std::vector<int64_t>& sizes = node.sizes();
  const std::vector<int64_t> shape = node.arg("normalized_shape").to_ints();
  const size_t first = sizes.size() - shape.size();
  return {
      node.arg("input").node(), product(sizes, 0, first), product(sizes, first, sizes.size()), eps, centered, shape};
}

// Over the positions of a group of channels.
Norm of_groups(const Node& node, int64_t groups) {
  const std::vector<int64_t>& sizes = node.sizes();
  std::vector<int64_t> affine(sizes.size() - 1, 1);
  affine[0] = sizes[1];
  const int64_t rows = sizes[0] * groups;
  const int64_t all = product(sizes, 0, sizes.size());
  return {node.arg("input").node(), rows, rows == 0 ? 0 : all / rows, node.arg("eps").to_double(), true, affine};
}

// Where a length may be 0: what is divided by that is no number.
constexpr double kLeastLength = 1e-12;

// x / clamp(linalg_vector_norm(x, 2, dims, keepdim), eps): what normalize becomes; or by the length as it is.
std::optional<Norm> of_length(const Node& div) {
  Node* x = div.arg("self").node();
  const Node* length = div.arg("other").node();
  if (x == nullptr || length == nullptr || !length->is_call()) return std::nullopt;
  double eps = kLeastLength;
  if (length->is_call("aten.clamp.default")) {
    const Arg& least = length->arg("min");
    if (least.is_none() || !least.is_constant() || !length->arg("max").is_none()) return std::nullopt;
    eps = least.to_double();
    length = length->arg("self").node();
  }
  if (!length->is_call("aten.linalg_vector_norm.default") || length->arg("self").node() != x || !x->meta()) {
    return std::nullopt;
  }
  if (length->arg("dim").is_none() || !length->arg("keepdim").to_bool() || length->arg("ord").to_double() != 2.0 ||
      !length->arg("dtype").is_none()) {
    return std::nullopt;
  }
  Norm norm{.x = x, .rows = 1, .width = 1, .eps = eps, .centered = false, .is_unit = true};
  const auto rank = static_cast<int64_t>(x->sizes().size());
  std::vector<int64_t> row;
  for (const int64_t dim : length->arg("dim").to_ints()) row.push_back(positive_dim(dim, rank));
  for (int64_t dim = 0; dim < rank; ++dim) {
    const bool in_row = std::find(row.begin(), row.end(), dim) != row.end();
    (in_row ? norm.width : norm.rows) *= x->sizes()[static_cast<size_t>(dim)];
    if (!in_row) norm.order.push_back(dim);
  }
  const bool keeps_samples = !norm.order.empty() && norm.order.front() == 0;
  norm.order.insert(norm.order.end(), row.begin(), row.end());
  return keeps_samples && eps > 0.0 ? std::optional(norm) : std::nullopt;
}

std::optional<Norm> any_norm(const Node& node) {
  if (!node.is_call() || !node.meta()) return std::nullopt;
  if (node.is_call("aten.div.Tensor")) return of_length(node);
  if (node.is_call("aten.layer_norm.default")) return of_last(node, true, node.arg("eps").to_double());
  if (node.is_call("aten.rms_norm.default")) {
    const Arg& eps = node.arg("eps");
    return of_last(node, false, eps.is_none() ? std::numeric_limits<float>::epsilon() : eps.to_double());
  }
  if (node.is_call("aten.group_norm.default")) return of_groups(node, node.arg("num_groups").to_int());
  if (node.is_call("aten.instance_norm.default") && node.meta()->rank() >= 3 && node.arg("use_input_stats").to_bool()) {
    return of_groups(node, node.sizes()[1]);
  }
  return std::nullopt;
}

bool may_take_apart(const Node& node, const Norm& norm) {
  const bool is_float = norm.x != nullptr && norm.x->meta() && norm.x->meta()->dtype == at::kFloat;
  const bool keeps_statistics = node.is_call("aten.instance_norm.default") &&
                                !(node.arg("running_mean").is_none() && node.arg("running_var").is_none());
  return is_float && !keeps_statistics && norm.rows > 0 && norm.width > 1 && norm.width <= kMostInARow;
}

}  // namespace

std::optional<Norm> norm_of(const Node& node) {
  const std::optional<Norm> norm = any_norm(node);
  return norm && may_take_apart(node, *norm) ? norm : std::nullopt;
}

}  // namespace octet::targets
