#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// int8 squares of this many elements stay within an int32 accumulator.
constexpr int64_t kMostInARow = 65536;

// A norm over the rows of a matrix, and the sizes in which weight and bias meet its result.
struct Norm {
  Node* x = nullptr;
  int64_t rows = 0;
  int64_t width = 0;
  double eps = 0.0;
  bool centered = true;
  std::vector<int64_t> affine = {};
  std::vector<int64_t> order = {};  ///< of the dimensions, the row's last; empty: as they are
  bool is_unit = false;             ///< rows become of length 1: divided by that, or by eps where it is less
};

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

std::optional<Norm> norm_of(const Node& node) {
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

class NormParts {
 public:
  NormParts(GraphModule& module, const Node& node, const Norm& norm) : module_(module), node_(node), norm_(norm) {}

  Node* make() {
    const int64_t rows = norm_.rows, width = norm_.width;
    Node* turned = norm_.order.empty() ? norm_.x : add_permute(norm_.x, norm_.order, node_);
    Node* x = add_reshape(turned, {rows, width}, 0, node_);
    if (norm_.is_unit) {
      Node* unit = call("aten.mul.Tensor", {x, inverse_root(x)}, {rows, width});
      return add_permute(add_reshape(unit, turned->sizes(), 0, node_), way_back(norm_.order), node_);
    }
    if (norm_.centered) x = call("aten.sub.Tensor", {x, mean(x)}, {rows, width});
    Node* scaled = call("aten.mul.Tensor", {x, inverse_root(x)}, {rows, width});
    return with_affine(add_reshape(scaled, node_.sizes(), 0, node_));
  }

 private:
  Node* call(const std::string& op, std::vector<Arg> args, const std::vector<int64_t>& sizes) {
    return add_call(op, std::move(args), sizes, node_);
  }

  static std::vector<int64_t> way_back(const std::vector<int64_t>& order) {
    std::vector<int64_t> back(order.size());
    for (size_t i = 0; i < order.size(); ++i) back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
    return back;
  }

  // By a product, whose result has a grid of its own: a mean on the grid of what it averages has few levels.
  Node* mean(Node* x) {
    const at::Tensor share = at::full({1, norm_.width}, 1.0 / static_cast<double>(norm_.width), at::kFloat);
    Node* weight = add_attr(module_, octet::str("mean_", node_.name()), share, AttrKind::kConstant);
    return call("aten.linear.default", {x, weight}, {norm_.rows, 1});
  }

  // 1 / sqrt(sum of squares + width * eps), or 1 / max(length, eps). The squares are summed in an accumulator; a tensor
  // of them would need the square of the range.
  Node* inverse_root(Node* x) {
    const int64_t rows = norm_.rows, width = norm_.width;
    Node* left = call("aten.reshape.default", {x, std::vector<int64_t>{-1, 1, width}}, {rows, 1, width});
    Node* right = call("aten.reshape.default", {x, std::vector<int64_t>{-1, width, 1}}, {rows, width, 1});
    Node* squares = add_reshape(call("aten.bmm.default", {left, right}, {rows, 1, 1}), {rows, 1}, 0, node_);
    Node* above_zero = norm_.is_unit
                           ? call("aten.clamp.default", {squares, norm_.eps * norm_.eps}, {rows, 1})
                           : call("aten.add.Tensor", {squares, static_cast<double>(width) * norm_.eps}, {rows, 1});
    return call("aten.rsqrt.default", {above_zero}, {rows, 1});
  }

  // The root of the width, by which the result is too small, goes into the weight.
  Node* with_affine(Node* x) {
    const double root = std::sqrt(static_cast<double>(norm_.width));
    if (Node* weight = affine("weight")) {
      x = call("aten.mul.Tensor", {x, add_scaled(module_, weight, root, node_)}, node_.sizes());
    } else {
      x = add_scaled(module_, x, root, node_);
    }
    if (Node* bias = affine("bias")) x = call("aten.add.Tensor", {x, bias}, node_.sizes());
    return x;
  }

  Node* affine(const char* argument) {
    if (!node_.has_arg(argument) || node_.arg(argument).is_none()) return nullptr;
    Node* value = node_.arg(argument).node();
    return value->sizes() == norm_.affine ? value : call("aten.reshape.default", {value, norm_.affine}, norm_.affine);
  }

  GraphModule& module_;
  const Node& node_;
  const Norm& norm_;
};

}  // namespace

bool decompose_norms(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node& n) { return norm_of(n).has_value(); })) {
    const Norm norm = *norm_of(*node);
    if (!may_take_apart(*node, norm)) continue;
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, NormParts(module, *node, norm).make());
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
