#include <ATen/core/grad_mode.h>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

constexpr double kSmallestDivisor = 1e-12;

// The divisor where it is constant, in the type of the division.
at::Tensor known_divisor(const GraphModule& module, const Node& div) {
  const Arg& other = div.arg("other");
  if (is_static(other.node())) return module.attr(other.node()->target()).to(div.meta()->dtype);
  if (!other.is_constant()) return {};
  const c10::IValue& value = other.constant();
  if (value.isTensor()) return value.toTensor().to(div.meta()->dtype);
  return value.isScalar() ? at::scalar_tensor(value.toScalar(), at::TensorOptions(div.meta()->dtype)) : at::Tensor();
}

}  // namespace

bool convert_div_to_mul(GraphModule& module) {
  const at::NoGradGuard no_grad;
  Graph& graph = module.graph();
  bool changed = false;
  for (Node* div : graph.nodes()) {
    if (!div->is_call("aten.div.Tensor") && !div->is_call("aten.div.Scalar")) continue;
    Node* dividend = div->arg("self").node();
    if (dividend == nullptr || !div->meta() || !at::isFloatingType(div->meta()->dtype)) continue;
    if (!dividend->meta() || !at::isFloatingType(dividend->meta()->dtype)) continue;
    const at::Tensor divisor = known_divisor(module, *div);
    if (!divisor.defined() || (divisor.abs() < kSmallestDivisor).any().item<bool>()) continue;
    const Node* attr = div->arg("other").node();
    const AttrKind kind = attr != nullptr ? module.attr_kind(attr->target()) : AttrKind::kConstant;
    const auto here = graph.inserting_before(div);
    Node* multiplier = add_attr(module, octet::str("multiplier_", div->name()), divisor.reciprocal(), kind);
    replace_node(div, add_call("aten.mul.Tensor", {dividend, multiplier}, div->sizes(), *div));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
