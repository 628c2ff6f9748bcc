#include "octet/targets/engine/passes/memory.h"

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
