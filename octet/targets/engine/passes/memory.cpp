#include "octet/targets/engine/passes/memory.h"

#include <algorithm>
#include <vector>

namespace octet::targets {

const Node* may_share_with(const Node& node) {
  if (node.kind() == NodeKind::kGetItem) return node.inputs().front();
  if (!node.is_call()) return nullptr;
  for (size_t i = 0; i < node.args().size(); ++i) {
    // In eval mode dropout gives its input, and the schema does not say so.
    const bool gives_back =
        node.op().schema().arguments()[i].alias_info() != nullptr || (i == 0 && node.has_arg("train"));
    if (gives_back && node.args()[i].is_node()) return node.args()[i].node();
  }
  return nullptr;
}

bool is_read_behind(const Node& owner, const Node& place, const std::unordered_set<const Node*>& copies) {
  std::vector<const Node*> values = {&owner};
  while (!values.empty()) {
    const Node* value = values.back();
    values.pop_back();
    for (const Node* user : value->users()) {
      if (user == &place) continue;
      if (place.graph().before(&place, user)) return true;
      if (may_share_with(*user) == value || copies.count(user) > 0) values.push_back(user);
    }
  }
  return false;
}

namespace {

const Node& owner_of(const Node& value) {
  const Node* owner = &value;
  while (const Node* shared = may_share_with(*owner)) owner = shared;
  return *owner;
}

// The owner of memory, and all that lies there.
std::vector<const Node*> values_in_memory_of(const Node& owner) {
  std::vector<const Node*> values = {&owner};
  for (size_t i = 0; i < values.size(); ++i) {
    for (const Node* user : values[i]->users()) {
      if (may_share_with(*user) == values[i]) values.push_back(user);
    }
  }
  return values;
}

}  // namespace

bool is_written_behind(const Node& value, const Node& place) {
  const std::vector<const Node*> values = values_in_memory_of(owner_of(value));
  return std::any_of(values.begin(), values.end(), [&](const Node* each) {
    return each->is_call() && each->op().mutates() && place.graph().before(&place, each);
  });
}

std::unordered_map<const Node*, const Node*> changed_for_others(const Graph& graph) {
  // A value that lies in written memory is up to date where it comes from the last operator that wrote there.
  std::unordered_map<const Node*, const Node*> owner, comes_from, last_write, stale;
  for (const Node* node : graph.nodes()) {
    const Node* shared = may_share_with(*node);
    owner[node] = shared == nullptr ? node : owner.at(shared);
    for (const Node* input : node->inputs()) {
      const auto write = last_write.find(owner.at(input));
      if (write != last_write.end() && comes_from.at(input) != write->second) stale.emplace(*write);
    }
    comes_from[node] = shared == nullptr ? nullptr : comes_from.at(shared);
    if (!node->is_call() || !node->op().writes_argument(0) || node->args()[0].node() == nullptr) continue;
    const Node* written = owner.at(node->args()[0].node());
    if (written->is_get_attr()) continue;  // a state, which stands for itself
    last_write[written] = node;
    if (owner.at(node) == written) comes_from[node] = node;
  }
  std::unordered_map<const Node*, const Node*> changed;
  for (const Node* value : graph.nodes()) {
    const auto found = stale.find(owner.at(value));
    if (found == stale.end()) continue;
    changed.emplace(value, found->second);
    for (const Node* user : value->users()) changed.emplace(user, found->second);
  }
  return changed;
}

Memory::Memory(const Graph& graph) : graph_(graph) {
  for (const Node* node : graph.nodes()) {
    const Node* shared = may_share_with(*node);
    owner_[node] = shared == nullptr ? node : owner_.at(shared);
    if (!node->is_call() || !node->op().mutates()) continue;
    for (size_t i = 0; i < node->args().size(); ++i) {
      if (!node->op().writes_argument(i)) continue;
      node->args()[i].for_each_node([&](const Node* written) { last_write_[owner_.at(written)] = node; });
    }
  }
}

bool Memory::is_written_behind(const Node& value, const Node& place) const {
  const auto write = last_write_.find(owner_.at(&value));
  return write != last_write_.end() && graph_.before(&place, write->second);
}

bool Memory::is_read_last_by(const Node& copy, const std::unordered_set<const Node*>& copies) const {
  const Node* root = owner_.at(copy.args()[0].node());
  return root->is_call() && !is_read_behind(*root, copy, copies);
}

}  // namespace octet::targets
