#include "octet/targets/engine/operator_rule.h"

#include "octet/support/error.h"

namespace octet::targets {

std::vector<Node*> producers(const Node& node, const InputRule& input) {
  std::vector<Node*> found;
  if (node.has_arg(input.argument)) {
    node.arg(input.argument).for_each_node([&](Node* producer) { found.push_back(producer); });
  }
  return found;
}

bool OperatorRule::has_weight() const {
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const InputRule& input) { return family(input.role) == Role::kWeight; });
}

RuleTable::RuleTable(std::vector<OperatorRule> rows) : rows_(std::move(rows)) {
  for (size_t row = 0; row < rows_.size(); ++row) {
    for (const std::string_view op : rows_[row].ops) row_of_.emplace(OpName(op).id(), row);
  }
}

const OperatorRule* RuleTable::find(const Node& node) const {
  if (node.kind() == NodeKind::kGetItem) return find(OpName("getitem"));
  return node.is_call() ? find(node.op().name()) : nullptr;
}

const OperatorRule* RuleTable::find(OpName op) const {
  const auto found = row_of_.find(op.id());
  return found != row_of_.end() ? &rows_[found->second] : nullptr;
}

bool RuleTable::is_fusable_activation(const Node& node) const {
  const OperatorRule* rule = find(node);
  return rule != nullptr && rule->is_activation && (rule->fuses_at.empty() || clips_at(node, rule->fuses_at));
}

bool clips_at(const Node& node, const std::vector<ActivationBounds>& bounds) {
  const auto own = clipping_bounds(node);
  return own && std::find(bounds.begin(), bounds.end(), *own) != bounds.end();
}

std::string text(const std::vector<ActivationBounds>& bounds) {
  std::string all;
  for (const ActivationBounds& each : bounds) {
    all += octet::str(all.empty() ? "" : ", ", "(", each.low ? octet::str(*each.low) : "-inf", ", ",
                      each.high ? octet::str(*each.high) : "inf", ")");
  }
  return all;
}

}  // namespace octet::targets
