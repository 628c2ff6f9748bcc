#include "octet/targets/engine/placement/clusters.h"

#include "octet/lowering/rule.h"
#include "octet/quantize/qdq.h"

namespace octet::targets {

Clusters::Clusters(const Graph& graph) : nodes_(graph.nodes()) {
  for (const Node* node : nodes_) facts_[node].auxiliary = lowering::is_auxiliary(*node);
  for (const Node* node : nodes_) look_back(*node);
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) look_forward(**node);
  for (const Node* node : nodes_) {
    Facts& facts = facts_.at(node);
    facts.quantized = is_operator(*node) && facts.edge.producer == nullptr && facts.edge.reader == nullptr;
  }
  const InGraphOrder earlier;
  const auto nearest = [&](const Node* next, const Node* Facts::*beyond) {
    const Facts& facts = facts_.at(next);
    const Node* found = facts.auxiliary ? facts.*beyond : nullptr;
    return facts.quantized && (found == nullptr || earlier(next, found)) ? next : found;
  };
  const auto keep_first = [&](const Node*& first, const Node* candidate) {
    if (candidate != nullptr && (first == nullptr || earlier(candidate, first))) first = candidate;
  };
  for (const Node* node : nodes_) {
    Facts& facts = facts_.at(node);
    for (const Node* input : node->inputs()) keep_first(facts.first_front, nearest(input, &Facts::first_front));
  }
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
    Facts& facts = facts_.at(*node);
    for (const Node* user : (*node)->users()) keep_first(facts.first_behind, nearest(user, &Facts::first_behind));
  }
}

// What stands in front; the inputs are known.
void Clusters::look_back(const Node& node) {
  Facts& facts = facts_.at(&node);
  const std::vector<Node*> inputs = node.inputs();
  if (node.is(Trait::kDequantize)) {
    facts.dequantize = &node;
    return;
  }
  if (facts.auxiliary && !inputs.empty()) facts.dequantize = facts_.at(inputs.front()).dequantize;
  for (const Node* input : inputs) {
    if (input->is(Trait::kDequantize) || facts_.at(input).auxiliary) continue;
    facts.edge.producer = input;
    return;
  }
  for (auto input = inputs.rbegin(); input != inputs.rend() && facts.edge.producer == nullptr; ++input) {
    facts.edge.producer = facts_.at(*input).edge.producer;
  }
}

// What stands behind; the readers are known.
void Clusters::look_forward(const Node& node) {
  Facts& facts = facts_.at(&node);
  const std::vector<Node*> users = node.users();
  for (const Node* user : users) {
    facts.quantize = user->is(Trait::kQuantize) ? user : facts_.at(user).auxiliary ? facts_.at(user).quantize : nullptr;
    if (facts.quantize != nullptr) break;
  }
  if (node.is(Trait::kQuantize)) return;
  for (const Node* user : users) {
    if (user->is(Trait::kQuantize) || facts_.at(user).auxiliary) continue;
    facts.edge.reader = user;
    return;
  }
  for (auto user = users.rbegin(); user != users.rend() && facts.edge.reader == nullptr; ++user) {
    facts.edge.reader = facts_.at(*user).edge.reader;
  }
}

std::vector<const Node*> Clusters::owners(const Node& node) const {
  const Facts& facts = facts_.at(&node);
  std::vector<const Node*> found;
  if (facts.auxiliary && facts.first_front != nullptr) {
    found.push_back(facts.first_front);
  } else if (facts.auxiliary && !facts.quantized && facts.first_behind != nullptr) {
    found.push_back(facts.first_behind);
  }
  if (facts.quantized) found.push_back(&node);
  return found;
}

FloatEdge Clusters::float_edge(const Node& node) const {
  const FloatEdge& edge = facts_.at(&node).edge;
  return edge.producer != nullptr ? FloatEdge{edge.producer, nullptr} : edge;
}

std::unordered_set<const Node*> Clusters::nodes_of(const std::function<bool(const Node&)>& stands) const {
  std::unordered_set<const Node*> found;
  for (const Node* node : nodes_) {
    if (!is_operator(*node)) continue;
    for (const Node* owner : owners(*node)) {
      if (stands(*owner)) found.insert(node);
    }
  }
  // Quantize, dequantize and elements of tuples stand with any operator on the way through auxiliary nodes.
  const auto holds = [&](const std::unordered_set<const Node*>& reached, const Node* next) {
    const Facts& facts = facts_.at(next);
    return (facts.quantized && stands(*next)) || (facts.auxiliary && reached.count(next) > 0);
  };
  std::unordered_set<const Node*> behind;  // such an operator stands in front of it
  for (const Node* node : nodes_) {
    const std::vector<Node*> inputs = node->inputs();
    if (!std::any_of(inputs.begin(), inputs.end(), [&](const Node* input) { return holds(behind, input); })) continue;
    behind.insert(node);
    if (node->is(Trait::kQuantize) || node->kind() == NodeKind::kGetItem) found.insert(node);
  }
  std::unordered_set<const Node*> in_front;
  for (auto it = nodes_.rbegin(); it != nodes_.rend(); ++it) {
    const std::vector<Node*> users = (*it)->users();
    if (!std::any_of(users.begin(), users.end(), [&](const Node* user) { return holds(in_front, user); })) continue;
    in_front.insert(*it);
    if ((*it)->is(Trait::kDequantize) || (*it)->kind() == NodeKind::kGetItem) found.insert(*it);
  }
  return found;
}

}  // namespace octet::targets
