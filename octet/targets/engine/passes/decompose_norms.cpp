#include <algorithm>
#include <cmath>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/norms.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// Where eps is 0: what rows of zeros are divided by first.
constexpr double kLeastSize = 1e-6;

class NormParts {
 public:
  NormParts(GraphModule& module, const Node& node, const Norm& norm) : module_(module), node_(node), norm_(norm) {}

  Node* make() {
    const int64_t rows = norm_.rows, width = norm_.width;
    Node* turned = norm_.order.empty() ? norm_.x : add_permute(norm_.x, norm_.order, node_);
    Node* x = add_reshape(turned, {rows, width}, 0, node_);
    if (norm_.is_unit) {
      Node* unit = call("aten.mul.Tensor", {x, inverse_length(x)}, {rows, width});
      return add_permute(add_reshape(unit, turned->sizes(), 0, node_), way_back(norm_.order), node_);
    }
    if (norm_.centered)
      x = call("aten.sub.Tensor", {x, sum(x, 1.0 / static_cast<double>(width), "mean_")}, {rows, width});
    Node* scaled = call("aten.mul.Tensor", {x, inverse_deviation(x)}, {rows, width});
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

  // The sum of each row times `share`. By a product, whose result has a grid of its own: a mean on the grid of what it
  // averages has few levels.
  Node* sum(Node* x, double share, const char* name) {
    const at::Tensor shares = at::full({1, norm_.width}, share, at::kFloat);
    Node* weight = add_attr(module_, octet::str(name, node_.name()), shares, AttrKind::kConstant);
    return call("aten.linear.default", {x, weight}, {norm_.rows, 1});
  }

  std::vector<int64_t> column() const { return {norm_.rows, 1}; }
  Node* product_of(Node* left, Node* right) { return call("aten.mul.Tensor", {left, right}, column()); }
  Node* root_below(Node* x) { return call("aten.rsqrt.default", {x}, column()); }

  // The sum of squares of each row, from an accumulator: a tensor of them would need the square of the range.
  Node* squares(Node* x) {
    const int64_t rows = norm_.rows, width = norm_.width;
    Node* left = call("aten.reshape.default", {x, std::vector<int64_t>{-1, 1, width}}, {rows, 1, width});
    Node* right = call("aten.reshape.default", {x, std::vector<int64_t>{-1, width, 1}}, {rows, width, 1});
    return add_reshape(call("aten.bmm.default", {left, right}, {rows, 1, 1}), column(), 0, node_);
  }

  // 1 / max(length, eps)
  Node* inverse_length(Node* x) {
    return root_below(call("aten.clamp.default", {squares(x), norm_.eps * norm_.eps}, column()));
  }

  // 1 / sqrt(mean of squares + eps). The sums of unequal rows have few levels on one grid: a row of a tenth of
  // another's deviation has a hundredth of its sum. So rows are brought near each other first, by g = 1 / (size +
  // sqrt(width eps)) where the size is the sum of |x| / sqrt(width), which has the range of deviations: with f =
  // sqrt(width) g the result is f / sqrt(sum of squares of g x + eps f^2), whatever g is. What g's grid rounds, the sum
  // finds and undoes; f has g's levels.
  Node* inverse_deviation(Node* x) {
    const double width = static_cast<double>(norm_.width);
    Node* size = sum(call("aten.abs.default", {x}, {norm_.rows, norm_.width}), 1.0 / std::sqrt(width), "size_");
    const double least = std::sqrt(width) * std::max(std::sqrt(norm_.eps), kLeastSize);
    Node* root = root_below(call("aten.add.Tensor", {size, least}, column()));
    Node* part = product_of(root, root);
    Node* level = call("aten.mul.Tensor", {x, part}, {norm_.rows, norm_.width});
    Node* factor = add_scaled(module_, part, std::sqrt(width), node_);
    Node* guard = add_scaled(module_, factor, std::sqrt(norm_.eps), node_);
    Node* found = squares(level);
    Node* all = call("aten.add.Tensor", {found, product_of(guard, guard)}, column());
    return product_of(factor, root_below(all));
  }

  Node* with_affine(Node* x) {
    if (Node* weight = affine("weight")) x = call("aten.mul.Tensor", {x, weight}, node_.sizes());
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
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, NormParts(module, *node, norm).make());
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
