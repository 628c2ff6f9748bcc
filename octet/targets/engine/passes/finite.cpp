#include "octet/targets/engine/passes/finite.h"

#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_set>

#include "octet/targets/engine/float_divisors.h"
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

}  // namespace

bool may_be_infinite(const GraphModule& module, const Node* value) {
  std::vector<const Node*> open = {value};
  std::unordered_set<const Node*> met = {value};
  while (!open.empty()) {
    const Node& node = *open.back();
    open.pop_back();
    if (is_static(&node)) {
      if (holds_infinity(module, node)) return true;
      continue;
    }
    if (!node.is_call() || bounds_its_result(node)) continue;
    const Node* divisor = divisor_of(node);
    if (divisor != nullptr && !is_static(divisor) && !node.op().short_name().starts_with("sqrt")) return true;
    for (const Arg& arg : node.args()) {
      if (arg.is_constant() && arg.constant().isScalar() && !std::isfinite(arg.to_double())) return true;
    }
    for (const Node* input : node.inputs()) {
      if (met.insert(input).second) open.push_back(input);
    }
  }
  return false;
}

}  // namespace octet::targets
