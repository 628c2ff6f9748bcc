#include "octet/graph/written_buffers.h"

#include <algorithm>
#include <unordered_set>

#include "octet/graph/trait.h"

namespace octet {
namespace {

// Whose memory the value lies in.
const Node* owner_of(const Node* value) {
  while (value != nullptr && value->is_call()) {
    const std::vector<c10::Argument>& arguments = value->op().schema().arguments();
    const auto shared = std::find_if(arguments.begin(), arguments.end(),
                                     [](const c10::Argument& each) { return each.alias_info() != nullptr; });
    if (shared == arguments.end()) break;
    value = value->arg(static_cast<size_t>(shared - arguments.begin())).node();
  }
  return value;
}

bool is_state(const GraphModule& module, const Node* node) {
  if (node == nullptr || !node->is_get_attr() || module.attr_kind(node->target()) != AttrKind::kBuffer) return false;
  const std::vector<Node*> users = node->users();
  const bool is_statistic =
      std::any_of(users.begin(), users.end(), [](const Node* user) { return user->is(Trait::kBatchNorm); });
  return !is_statistic && module.attr(node->target()).is_floating_point();
}

}  // namespace

std::vector<const Node*> written_buffers(const GraphModule& module) {
  std::vector<const Node*> written;
  for (const Node* node : module.graph().nodes()) {
    if (!node->is_call() || node->is(Trait::kBatchNorm)) continue;
    const std::vector<c10::Argument>& arguments = node->op().schema().arguments();
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (arguments[i].alias_info() == nullptr || !arguments[i].alias_info()->isWrite()) continue;
      const Node* owner = owner_of(node->arg(i).node());
      if (is_state(module, owner) && std::find(written.begin(), written.end(), owner) == written.end()) {
        written.push_back(owner);
      }
    }
  }
  return written;
}

void drop_last_writes(GraphModule& module) {
  std::unordered_set<const Node*> read;  // owners of what later nodes read
  const std::vector<Node*> nodes = module.graph().nodes();
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    Node* node = *it;
    const Node* owner = node->is_call("aten.copy_.default") ? owner_of(node->arg(size_t{0}).node()) : nullptr;
    if (owner != nullptr && node->user_count() == 0 && is_state(module, owner) && !read.contains(owner)) {
      module.graph().erase(node);
      continue;
    }
    for (const Node* input : node->inputs()) read.insert(owner_of(input));
  }
}

}  // namespace octet
