#include "octet/lowering/layout.h"

#include "octet/lowering/rule.h"
#include "octet/quantize/qdq.h"

namespace octet::lowering {
namespace {

bool knows_no_layout(const Node& node) {
  if (!node.is_call()) return node.kind() != NodeKind::kCallModule;
  if (node.is(Trait::kQuantize) || node.is(Trait::kDequantize)) return true;
  const OperatorRow* rule = find_lowering_rule(node);
  if (rule == nullptr || rule->layout == Layout::kReshapes) return false;
  return rule->layout != Layout::kReduces || (node.has_arg("keepdim") && node.arg("keepdim").to_bool());
}

bool reads_channels_first(const Node& node) {
  const OperatorRow* rule = find_lowering_rule(node);
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
  std::vector<const Node*> open;  // found, and not yet given on
  const auto mark = [&](const Node* node) {
    if (node->meta() && node->meta()->rank() <= 2) return;
    if (found.insert(node).second) open.push_back(node);
  };
  for (const Node* node : graph.nodes()) {
    if (!reads_channels_first(*node)) continue;
    mark(node);
    if (node->args()[0].is_node()) mark(node->args()[0].node());
  }
  // Where one value of a node that knows no layout is found, all of them are.
  std::unordered_set<const Node*> joined;
  const auto join = [&](const Node* node) {
    if (reads_channels_first(*node) || !knows_no_layout(*node) || !joined.insert(node).second) return;
    mark(node);
    for (const Node* input : node->inputs()) mark(input);
  };
  while (!open.empty()) {
    const Node* value = open.back();
    open.pop_back();
    join(value);
    for (const Node* user : value->users()) join(user);
  }
  return found;
}

std::vector<int64_t> to_channels_last(size_t rank) {
  std::vector<int64_t> order = {0};
  for (size_t d = 2; d < rank; ++d) order.push_back(static_cast<int64_t>(d));
  if (rank > 1) order.push_back(1);
  return order;
}

std::vector<int64_t> to_channels_first(size_t rank) {
  std::vector<int64_t> order = {0};
  if (rank > 1) order.push_back(static_cast<int64_t>(rank) - 1);
  for (size_t d = 2; d < rank; ++d) order.push_back(static_cast<int64_t>(d) - 1);
  return order;
}

std::vector<int64_t> reordered(const std::vector<int64_t>& sizes, const std::vector<int64_t>& order) {
  std::vector<int64_t> result;
  for (const int64_t axis : order) result.push_back(sizes[static_cast<size_t>(axis)]);
  return result;
}

}  // namespace octet::lowering
