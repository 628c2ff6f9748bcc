#include "octet/lowering/rule.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// Views, dropout, and parts: elements stay what they are.
bool moves_only(const Node& node) {
  const lowering::OperatorRow* rule = lowering::find_lowering_rule(node);
  return rule != nullptr && rule->arithmetic == lowering::Arithmetic::kMoves &&
         (rule->auxiliary || node.is_call("aten.slice.Tensor") || node.is_call("aten.expand.default"));
}

bool gives_a_share(const Node& node) {
  return node.is_call("aten.softmax.int") || node.is_call("aten.sigmoid.default") ||
         node.is_call("aten.sigmoid_.default");
}

bool comes_from_a_share(const Node* value) {
  while (value != nullptr && moves_only(*value)) value = value->args()[0].node();
  return value != nullptr && gives_a_share(*value);
}

}  // namespace

bool add_relus_before_products(GraphModule& module) {
  bool changed = false;
  for (Node* bmm : calls_where(module.graph(), [](const Node& node) { return node.is_call("aten.bmm.default"); })) {
    for (Node* factor : bmm->inputs()) {
      if (!factor->meta() || !comes_from_a_share(factor)) continue;
      const auto here = module.graph().inserting_before(bmm);
      bmm->replace_input(factor, add_call("aten.relu.default", {factor}, factor->sizes(), *bmm));
      changed = true;
    }
  }
  return changed;
}

}  // namespace octet::targets
