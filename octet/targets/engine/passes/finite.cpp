#include "octet/targets/engine/passes/finite.h"

#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "octet/targets/engine/kept_in_float.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// Behind these a number is finite where weights and inputs are.
bool bounds_its_result(const Node& node) {
  constexpr std::array<std::string_view, 9> kBounding = {"bmm",      "matmul",  "mm",   "addmm",     "softmax",
                                                         "_softmax", "sigmoid", "tanh", "layer_norm"};
  return node.is(Trait::kConvolution) || node.is(Trait::kLinear) || node.is(Trait::kBatchNorm) ||
         std::find(kBounding.begin(), kBounding.end(), node.op().short_name()) != kBounding.end();
}

bool holds_infinity(const GraphModule& module, const Node& tensor) {
  const at::Tensor value = module.attr(tensor.target());
  return at::isFloatingType(value.scalar_type()) && !at::isfinite(value).all().item<bool>();
}

// Outside of a range, or beyond what a float holds, the result is none.
bool has_a_range(const Node& node) {
  constexpr std::array<std::string_view, 18> kRanged = {"exp",  "exp2",    "expm1", "pow",    "sqrt",  "log1p",
                                                        "asin", "acos",    "acosh", "atanh",  "tan",   "sinh",
                                                        "cosh", "cumprod", "prod",  "erfinv", "logit", "mvlgamma"};
  std::string_view name = node.op().short_name();
  if (name.ends_with('_')) name.remove_suffix(1);
  return std::find(kRanged.begin(), kRanged.end(), name) != kRanged.end();
}

// Of finite inputs.
bool makes_infinity(const Node& node) {
  const Node* divisor = divisor_of(node);
  if (divisor != nullptr && !is_static(divisor) && !node.op().short_name().starts_with("sqrt")) return true;
  const std::vector<Arg>& args = node.args();
  return std::any_of(args.begin(), args.end(), [](const Arg& arg) {
    return arg.is_constant() && arg.constant().isScalar() && !std::isfinite(arg.to_double());
  });
}

}  // namespace

bool Finiteness::may_be_infinite(const Node* value) {
  std::vector<const Node*> open = {value};
  while (!open.empty()) {
    const Node& node = *open.back();
    bool is_infinite = false;
    std::vector<const Node*> unknown;
    if (is_static(&node)) {
      is_infinite = holds_infinity(module_, node);
    } else if (node.is_call() && (looks_ == Looks::kToTheInputs || !bounds_its_result(node))) {
      is_infinite = makes_infinity(node) || (looks_ == Looks::kToTheInputs && has_a_range(node));
      for (const Node* input : node.inputs()) {
        const auto found = known_.find(input->id());
        if (found == known_.end()) unknown.push_back(input);
        is_infinite = is_infinite || (found != known_.end() && found->second);
      }
    }
    if (is_infinite || unknown.empty()) {
      known_[node.id()] = is_infinite;
      open.pop_back();
    } else {
      open.insert(open.end(), unknown.begin(), unknown.end());
    }
  }
  return known_.at(value->id());
}

}  // namespace octet::targets
