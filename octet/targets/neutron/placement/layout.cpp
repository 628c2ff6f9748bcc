#include "octet/targets/neutron/placement/layout.h"

#include "octet/quantize/qdq.h"
#include "octet/targets/neutron/operator_rules.h"

namespace octet::neutron {
namespace {

bool knows_no_layout(const Node& node) {
  if (!node.is_call()) return node.kind() != NodeKind::kCallModule;
  if (is_quantize_op(node) || is_dequantize_op(node)) return true;
  const OperatorRule* rule = find_rule(node);
  if (rule == nullptr || rule->layout == Layout::kReshapes) return false;
  return rule->layout != Layout::kReduces || (node.has_arg("keepdim") && node.arg("keepdim").to_bool());
}

bool reads_channels_first(const Node& node) {
  const OperatorRule* rule = find_rule(node);
  if (rule == nullptr) return false;
  if (rule->layout == Layout::kChannelsFirstSlopes) {
    const Node* slopes = node.arg("weight").node();
    return node.meta() && node.meta()->rank() > 2 && slopes != nullptr && slopes->meta() &&
           slopes->meta()->numel() != 1;
  }
  return rule->layout == Layout::kChannelsFirst;
}

}  // namespace

std::unordered_set<const Node*> channels_first_values(const Graph& graph) {
  std::unordered_set<const Node*> found;
  const auto mark = [&](const Node* node) {
    if (node->meta() && node->meta()->rank() <= 2) return false;
    return found.insert(node).second;
  };
  const std::vector<Node*> nodes = graph.nodes();
  bool changed = true;
  while (changed) {
    changed = false;
    for (const Node* node : nodes) {
      if (reads_channels_first(*node)) {
        changed |= mark(node);
        if (node->args()[0].is_node()) changed |= mark(node->args()[0].node());
        continue;
      }
      if (!knows_no_layout(*node)) continue;
      const std::vector<Node*> inputs = node->inputs();
      const bool any = found.count(node) > 0 || std::any_of(inputs.begin(), inputs.end(),
                                                            [&](const Node* input) { return found.count(input) > 0; });
      if (!any) continue;
      changed |= mark(node);
      for (const Node* input : inputs) changed |= mark(input);
    }
  }
  return found;
}

}  // namespace octet::neutron
