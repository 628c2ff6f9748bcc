#include <ATen/core/grad_mode.h>
#include <ATen/ops/_upsample_bicubic2d_aa.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>
#include <ATen/ops/_upsample_nearest_exact2d.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/upsample_bicubic2d.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "octet/graph/op.h"
#include "octet/lowering/resampling.h"
#include "octet/support/error.h"
#include "octet/targets/engine/passes/copies.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;
using Resize = at::Tensor (*)(const at::Tensor&, at::OptionalIntArrayRef, bool, std::optional<at::ArrayRef<double>>);

struct ResizeRow {
  OpName op;
  Resize resize;              // of two dimensions; of each by itself as that of volumes
  bool targets_know = false;  // where the scale is the ratio of the sizes
  size_t rank = 4;
};

at::Tensor nearest(const at::Tensor& x, at::OptionalIntArrayRef sizes, bool /*aligned*/,
                   std::optional<at::ArrayRef<double>> factors) {
  return at::upsample_nearest2d(x, sizes, factors);
}
at::Tensor nearest_exact(const at::Tensor& x, at::OptionalIntArrayRef sizes, bool /*aligned*/,
                         std::optional<at::ArrayRef<double>> factors) {
  return at::_upsample_nearest_exact2d(x, sizes, factors);
}

constexpr std::array kResizes = {
    ResizeRow{"aten.upsample_bicubic2d.vec", at::upsample_bicubic2d},
    ResizeRow{"aten._upsample_bicubic2d_aa.vec", at::_upsample_bicubic2d_aa},
    ResizeRow{"aten._upsample_bilinear2d_aa.vec", at::_upsample_bilinear2d_aa},
    ResizeRow{"aten.upsample_bilinear2d.vec", at::upsample_bilinear2d, true},
    ResizeRow{"aten.upsample_trilinear3d.vec", at::upsample_bilinear2d, false, 5},
    ResizeRow{"aten.upsample_nearest3d.vec", nearest, false, 5},
    ResizeRow{"aten._upsample_nearest_exact3d.vec", nearest_exact, false, 5},
};

// Shares that a dimension may have: a file says sizes, and nothing else holds them.
constexpr int64_t kMostShares = int64_t{1} << 24;

bool has_few_shares(const Sizes& from, const Sizes& to) {
  for (size_t dim = 2; dim < from.size(); ++dim) {
    if (from[dim] > kMostShares / std::max({from[dim], to[dim], int64_t{1}})) return false;
  }
  return true;
}

const ResizeRow* row_of(const Node& node) {
  for (const ResizeRow& row : kResizes) {
    if (!node.is_call(row.op)) continue;
    const Node* x = node.arg("input").node();
    const bool is_known = x != nullptr && x->meta() && x->sizes().size() == row.rank &&
                          x->meta()->dtype == at::kFloat && node.meta() && node.meta()->numel() > 0 &&
                          node.sizes().size() == row.rank && has_few_shares(x->sizes(), node.sizes());
    const Arg& factors = node.arg("scale_factors");
    const bool by_numbers = factors.is_none() || (factors.is_constant() && factors.constant().isDoubleList() &&
                                                  factors.constant().toDoubleVector().size() == row.rank - 2);
    if (!is_known || !by_numbers) return nullptr;
    return &row;
  }
  return nullptr;
}

// The share of each element of a dimension in each of the result, [to, from]: what the resize makes of an image whose
// rows are unit vectors.
at::Tensor shares_along(const Node& node, const ResizeRow& row, size_t dim) {
  const at::NoGradGuard no_grad;
  const int64_t from = node.arg("input").node()->sizes()[dim], to = node.sizes()[dim];
  const at::Tensor units = at::eye(from).reshape({1, 1, from, from});
  const bool aligned = node.has_arg("align_corners") && node.arg("align_corners").to_bool();
  at::Tensor resized;
  if (node.arg("scale_factors").is_none()) {
    const Sizes sizes = {from, to};
    resized = row.resize(units, at::OptionalIntArrayRef(sizes), aligned, std::nullopt);
  } else {
    const std::vector<double> factors = {1.0, node.arg("scale_factors").constant().toDoubleVector()[dim - 2]};
    resized = row.resize(units, std::nullopt, aligned, at::ArrayRef<double>(factors));
  }
  return resized.reshape({from, to}).t().contiguous();
}

// ---- averages over windows of different sizes ----------------------------------------------------------------------

// Of lines and images.
bool averages_unevenly(const Node& node) {
  const bool is_line = node.is_call("aten.adaptive_avg_pool1d.default");
  if (!is_line && !node.is_call("aten.adaptive_avg_pool2d.default")) return false;
  const Node* x = node.arg("self").node();
  const size_t rank = is_line ? 3 : 4;
  if (x == nullptr || !x->meta() || x->sizes().size() != rank || x->meta()->dtype != at::kFloat || !node.meta() ||
      node.meta()->numel() == 0) {
    return false;
  }
  bool is_even = true;
  for (size_t dim = 2; dim < rank; ++dim) {
    if (x->sizes()[dim] > kMostShares / std::max(x->sizes()[dim], node.sizes()[dim])) return false;
    is_even = is_even && x->sizes()[dim] % node.sizes()[dim] == 0;
  }
  return !is_even;
}

at::Tensor shares_of_average(const Node& node, size_t dim) {
  const int64_t from = node.arg("self").node()->sizes()[dim], to = node.sizes()[dim];
  at::Tensor shares = at::zeros({to, from});
  for (int64_t i = 0; i < to; ++i) {
    const int64_t begin = i * from / to, end = ((i + 1) * from + to - 1) / to;
    shares.select(0, i).slice(0, begin, end).fill_(1.0 / static_cast<double>(end - begin));
  }
  return shares;
}

Node* resize_last(GraphModule& module, Node* x, const at::Tensor& shares, const Node& like) {
  Node* weight = add_attr(module, octet::str("shares_", like.name()), shares, AttrKind::kConstant);
  Sizes sizes = x->sizes();
  sizes.back() = shares.size(0);
  return add_call("aten.linear.default", {x, weight}, sizes, like);
}

bool resize_by_linears(GraphModule& module, const std::function<bool(const Node&, const ResizeRow&)>& wanted) {
  const std::vector<Node*> found = calls_where(module.graph(), [&](const Node& node) {
    const ResizeRow* row = row_of(node);
    return row != nullptr && wanted(node, *row);
  });
  for (Node* node : found) {
    const ResizeRow& row = *row_of(*node);
    const auto here = module.graph().inserting_before(node);
    Node* x = node->arg("input").node();
    for (size_t dim = row.rank - 1; dim >= 2; --dim) {
      Sizes order(row.rank);
      std::iota(order.begin(), order.end(), 0);
      std::swap(order[dim], order.back());
      Node* resized = resize_last(module, add_permute(x, order, *node), shares_along(*node, row, dim), *node);
      x = add_permute(resized, order, *node);
    }
    replace_by_parts(node, x);
  }
  return !found.empty();
}

// ---- to the nearest -------------------------------------------------------------------------------------------------

bool resizes_to_nearest(const Node& node) {
  if (!node.is_call("aten.upsample_nearest2d.vec") && !node.is_call("aten._upsample_nearest_exact2d.vec")) return false;
  const Node* x = node.arg("input").node();
  const auto is_image = [](const Node& value) {
    if (!value.meta() || value.meta()->rank() != 4 || value.meta()->numel() == 0) return false;
    return value.sizes()[2] <= kLongestCopy && value.sizes()[3] <= kLongestCopy;
  };
  return x != nullptr && is_image(*x) && is_image(node) && node.arg("output_size").is_constant() &&
         node.arg("scale_factors").is_constant();
}

// How often each element of a row of so many stands side by side; 0 where that differs.
int64_t times_of_each(const Sizes& places, int64_t length) {
  const auto size = static_cast<int64_t>(places.size());
  if (size % length != 0) return 0;
  const int64_t times = size / length;
  for (int64_t i = 0; i < size; ++i) {
    if (places[static_cast<size_t>(i)] != i / times) return 0;
  }
  return times;
}

// nullptr where that takes more pieces than are worth it.
Node* copied_to_nearest(const Node& node) {
  const std::array<Sizes, 2> places = lowering::nearest_places(node);
  Node* x = node.arg("input").node();
  std::array<int64_t, 2> times{};
  for (const size_t axis : {size_t{0}, size_t{1}}) {
    const int64_t length = x->sizes()[2 + axis];
    times[axis] = times_of_each(places[axis], length);
    const bool is_worth_it = times[axis] > 0 && times[axis] <= static_cast<int64_t>(kMostPieces);
    if (!is_worth_it && !is_put_together({0, places[axis]})) return nullptr;
  }
  for (const size_t axis : {size_t{0}, size_t{1}}) {
    const Copy copy{static_cast<int64_t>(2 + axis), places[axis]};
    if (times[axis] == 1) continue;
    x = is_put_together(copy) ? put_together(x, copy, node) : repeat_elements(x, copy.dim, times[axis], node);
  }
  return x;
}

}  // namespace

bool decompose_uneven_averages(GraphModule& module) {
  const at::NoGradGuard no_grad;
  const std::vector<Node*> found = calls_where(module.graph(), averages_unevenly);
  for (Node* node : found) {
    const auto here = module.graph().inserting_before(node);
    Node* x = node->arg("self").node();
    const size_t last = x->sizes().size() - 1;
    x = resize_last(module, x, shares_of_average(*node, last), *node);
    if (last == 3) {
      x = resize_last(module, add_permute(x, {0, 1, 3, 2}, *node), shares_of_average(*node, 2), *node);
      x = add_permute(x, {0, 1, 3, 2}, *node);
    }
    replace_by_parts(node, x);
  }
  return !found.empty();
}

bool decompose_resizes(GraphModule& module) {
  return resize_by_linears(module, [](const Node& node, const ResizeRow& row) {
    return !row.targets_know || !lowering::resizes_by_sizes(node);
  });
}

bool decompose_other_resizes(GraphModule& module, const std::function<bool(const Node&)>& is_taken) {
  bool changed = resize_by_linears(
      module, [&](const Node& node, const ResizeRow& row) { return row.targets_know && !is_taken(node); });
  const auto wanted = [&](const Node& node) { return resizes_to_nearest(node) && !is_taken(node); };
  for (Node* node : calls_where(module.graph(), wanted)) {
    const auto here = module.graph().inserting_before(node);
    Node* resized = copied_to_nearest(*node);
    if (resized == nullptr) continue;
    replace_by_parts(node, resized);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
