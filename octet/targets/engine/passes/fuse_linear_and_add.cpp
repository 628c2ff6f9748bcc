#include <ATen/core/grad_mode.h>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool can_fuse(const GraphModule& module, const Node& add) {
  if (!add.is_call("aten.add.Tensor")) return false;
  const Node* linear = add.arg("self").node();
  const Node* other = add.arg("other").node();
  if (linear == nullptr || !linear->is_call("aten.linear.default") || only_user(*linear) != &add) return false;
  if (!is_static(other) || !is_static_or_none(linear->arg("bias")) || !is_static(linear->arg("weight").node()))
    return false;
  if (!add.arg("alpha").is_constant()) return false;
  const int64_t out_features = module.attr(linear->arg("weight").node()->target()).size(0);
  const at::Tensor value = module.attr(other->target());
  return value.dim() == 1 && value.size(0) == out_features && at::isFloatingType(value.scalar_type());
}

void fuse(GraphModule& module, Node* add) {
  const at::NoGradGuard no_grad;
  Node* linear = add->arg("self").node();
  const Node* other = add->arg("other").node();
  const Node* bias = linear->arg("bias").node();
  at::Tensor sum = module.attr(other->target()) * add->arg("alpha").to_double();
  if (bias != nullptr) sum = module.attr(bias->target()) + sum;
  {
    const auto here = module.graph().inserting_before(linear);
    const std::string base = octet::str(linear->arg("weight").node()->target(), "_fused_bias");
    linear->set_arg("bias", add_attr(module, base, sum, AttrKind::kParameter));
  }
  replace_node(add, linear);
}

}  // namespace

bool fuse_linear_and_add(GraphModule& module) {
  bool changed = false;
  for (Node* node : module.graph().nodes()) {
    if (!can_fuse(module, *node)) continue;
    fuse(module, node);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
