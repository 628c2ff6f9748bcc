#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <numeric>

#include "octet/quantize/compare.h"
#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Ints = std::vector<int64_t>;

struct Branch {
  Node* conv = nullptr;
  at::Tensor weight, bias;  // undefined bias: none
  Ints padding, dilation;
  int64_t groups = 1;
};

// A convolution that the sum alone reads.
std::optional<Branch> branch(const GraphModule& module, const Node& sum, Node* conv) {
  if (conv == nullptr || !conv->is_call("aten.conv2d.default") || only_user(*conv) != &sum) return std::nullopt;
  const Node* weight = conv->arg("weight").node();
  if (!is_static(weight) || !is_static_or_none(conv->arg("bias")) || !conv->meta()) return std::nullopt;
  const Node* bias = conv->arg("bias").node();
  const auto pair = [&](const char* name) {
    Ints values = conv->arg(name).to_ints();
    if (values.size() == 1) values.push_back(values[0]);
    return values;
  };
  return Branch{conv,
                module.attr(weight->target()),
                bias != nullptr ? module.attr(bias->target()) : at::Tensor(),
                pair("padding"),
                pair("dilation"),
                conv->arg("groups").to_int()};
}

// The tap of `large` at the place of each tap of `small` along dimension `d` of the image; empty where one has none.
Ints places(const Branch& small, const Branch& large, size_t d) {
  const auto axis = static_cast<int64_t>(d) + 2;
  Ints found;
  for (int64_t tap = 0; tap < small.weight.size(axis); ++tap) {
    const int64_t offset = large.padding[d] - small.padding[d] + tap * small.dilation[d];
    const int64_t place = offset / large.dilation[d];
    if (place * large.dilation[d] != offset || place < 0 || place >= large.weight.size(axis)) return {};
    found.push_back(place);
  }
  return found;
}

bool reads_the_same(const Branch& a, const Branch& b) {
  return a.conv != b.conv && a.conv->arg("input").node() == b.conv->arg("input").node() &&
         a.conv->sizes() == b.conv->sizes() && a.conv->arg("stride").to_ints() == b.conv->arg("stride").to_ints();
}

// large + factor * small in the groups of both, or an undefined tensor.
at::Tensor summed(const Branch& large, const Branch& small, double large_factor, double small_factor) {
  const int64_t groups = std::gcd(large.groups, small.groups);
  const Ints rows = places(small, large, 0);
  const Ints columns = places(small, large, 1);
  if (rows.empty() || columns.empty()) return {};
  at::Tensor sum = with_groups(large.weight, large.groups, groups) * large_factor;
  if (sum.numel() > large.weight.numel() + small.weight.numel()) return {};
  const at::Tensor added = with_groups(small.weight, small.groups, groups) * small_factor;
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t column = 0; column < columns.size(); ++column) {
      sum.select(3, columns[column]).select(2, rows[row]) +=
          added.select(3, static_cast<int64_t>(column)).select(2, static_cast<int64_t>(row));
    }
  }
  return sum;
}

at::Tensor summed_bias(const Branch& first, const Branch& second, double alpha) {
  if (!first.bias.defined() && !second.bias.defined()) return {};
  if (!second.bias.defined()) return first.bias;
  return first.bias.defined() ? first.bias + second.bias * alpha : second.bias * alpha;
}

bool is_zero(const GraphModule& module, const Arg& arg) {
  if (is_static(arg.node())) {
    const at::Tensor value = module.attr(arg.node()->target());
    return value.dim() == 0 && value.item().toDouble() == 0.0;
  }
  const bool is_number = arg.is_constant() && (arg.constant().isInt() || arg.constant().isDouble());
  return is_number && arg.to_double() == 0.0;
}

// A block that starts from 0 and lacks a branch.
bool drop_zero(const GraphModule& module, Node* sum) {
  for (const auto& [value, other] : {std::pair("self", "other"), std::pair("other", "self")}) {
    if (!is_zero(module, sum->arg(other))) continue;
    const auto kept = branch(module, *sum, sum->arg(value).node());
    if (!kept || kept->conv->meta() != sum->meta() || sum->arg("alpha").to_double() != 1.0) return false;
    replace_node(sum, kept->conv);
    return true;
  }
  return false;
}

bool merge(GraphModule& module, Node* sum) {
  const at::NoGradGuard no_grad;
  if (drop_zero(module, sum)) return true;
  const auto first = branch(module, *sum, sum->arg("self").node());
  const auto second = branch(module, *sum, sum->arg("other").node());
  if (!first || !second || !reads_the_same(*first, *second) || !may_be_replaced(*sum)) return false;
  if (!sum->arg("alpha").is_constant() || sum->sizes() != first->conv->sizes()) return false;
  const double alpha = sum->arg("alpha").to_double();
  const Branch* large = &*first;
  at::Tensor weight = summed(*first, *second, 1.0, alpha);
  if (!weight.defined()) {
    large = &*second;
    weight = summed(*second, *first, alpha, 1.0);
  }
  if (!weight.defined()) return false;
  const at::Tensor bias = summed_bias(*first, *second, alpha);
  const auto here = module.graph().inserting_before(sum);
  const std::string base = large->conv->arg("weight").node()->target();
  std::vector<Arg> args = large->conv->args();
  args[1] = add_attr(module, base + "_merged", weight, AttrKind::kParameter);
  args[2] = bias.defined() ? Arg(add_attr(module, base + "_merged_bias", bias, AttrKind::kParameter)) : Arg();
  Node* merged = add_call("aten.conv2d.default", std::move(args), sum->sizes(), *sum);
  merged->set_arg("groups", std::gcd(first->groups, second->groups));
  merged->notes()[kFloatNameNote] = float_name(*sum);
  replace_node(sum, merged);
  return true;
}

}  // namespace

bool merge_parallel_convolutions(GraphModule& module) {
  bool changed = false;
  const auto is_sum = [](const Node& node) {
    return (node.is_call("aten.add.Tensor") || node.is_call("aten.add_.Tensor")) && node.meta();
  };
  for (Node* sum : calls_where(module.graph(), is_sum)) changed |= merge(module, sum);
  return changed;
}

}  // namespace octet::targets
