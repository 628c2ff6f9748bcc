#include "octet/targets/neutron/placement/clusters.h"

#include <set>

#include "octet/lowering/rule.h"
#include "octet/quantize/qdq.h"

namespace octet::neutron {
using lowering::is_auxiliary;

const Node* dequantize_behind(const Node& value) {
  const Node* node = &value;
  while (!is_dequantize_op(*node)) {
    if (!is_auxiliary(*node) || node->inputs().empty()) return nullptr;
    node = node->inputs().front();
  }
  return node;
}

const Node* quantize_behind(const Node& value) {
  for (const Node* user : value.users()) {
    if (is_quantize_op(*user)) return user;
    if (!is_auxiliary(*user)) continue;
    if (const Node* found = quantize_behind(*user)) return found;
  }
  return nullptr;
}

Clusters::Clusters(const Graph& graph) {
  for (const Node* node : graph.nodes()) {
    if (!is_operator(*node)) continue;
    std::set<const Node*> members;
    FloatEdge broken;
    std::vector<const Node*> pending = {node};
    while (!pending.empty() && broken.producer == nullptr) {
      const Node* member = pending.back();
      pending.pop_back();
      members.insert(member);
      if (is_dequantize_op(*member)) continue;
      for (const Node* input : member->inputs()) {
        if (!is_dequantize_op(*input) && !is_auxiliary(*input)) {
          broken.producer = input;
          break;
        }
        pending.push_back(input);
      }
    }
    pending = {node};
    while (!pending.empty() && broken.producer == nullptr && broken.reader == nullptr) {
      const Node* member = pending.back();
      pending.pop_back();
      members.insert(member);
      if (is_quantize_op(*member)) continue;
      for (const Node* user : member->users()) {
        if (!is_quantize_op(*user) && !is_auxiliary(*user)) {
          broken.reader = user;
          break;
        }
        pending.push_back(user);
      }
    }
    if (broken.producer != nullptr || broken.reader != nullptr) {
      float_edges_[node] = broken;
      continue;
    }
    for (const Node* member : members) {
      // An operator of its own cluster stays its own.
      if (member == node || !is_operator(*member) || owners_.find(member) == owners_.end()) {
        owners_[member].push_back(node);
      }
    }
  }
}

const std::vector<const Node*>& Clusters::owners(const Node& node) const {
  static const std::vector<const Node*> none;
  const auto found = owners_.find(&node);
  return found != owners_.end() ? found->second : none;
}

FloatEdge Clusters::float_edge(const Node& node) const {
  const auto found = float_edges_.find(&node);
  return found != float_edges_.end() ? found->second : FloatEdge{};
}

}  // namespace octet::neutron
