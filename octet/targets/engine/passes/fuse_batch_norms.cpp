#include "octet/quantize/fold_batch_norm.h"
#include "octet/targets/engine/passes/passes.h"

namespace octet::targets {

bool rename_instance_norms(GraphModule& module) {
  const auto goes_by_statistics = [](const Node& node) {
    return node.is_call("aten.instance_norm.default") && node.meta() && !node.arg("use_input_stats").to_bool() &&
           is_static(node.arg("running_mean").node()) && is_static(node.arg("running_var").node());
  };
  const std::vector<Node*> found = calls_where(module.graph(), goes_by_statistics);
  for (Node* node : found) {
    const auto here = module.graph().inserting_before(node);
    replace_node(node, add_call("aten.batch_norm.default",
                                {node->arg("input"), node->arg("weight"), node->arg("bias"), node->arg("running_mean"),
                                 node->arg("running_var"), false, node->arg("momentum"), node->arg("eps"), false},
                                node->sizes(), *node, node->name()));
  }
  return !found.empty();
}

bool fuse_batch_norms(GraphModule& module) {
  const std::vector<ConvBatchNorm> pairs = find_conv_batch_norms(module.graph());
  const bool any = std::any_of(pairs.begin(), pairs.end(), [](const ConvBatchNorm& pair) { return !pair.training(); });
  return any && fold_batch_norms(module) > 0;
}

}  // namespace octet::targets
