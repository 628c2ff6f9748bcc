#include "octet/graph/written_buffers.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "octet/graph/trait.h"

namespace octet {
namespace {

// Whose memory a value lies in.
class Owners {
 public:
  explicit Owners(const GraphModule& module) {
    for (const Node* node : module.graph().nodes()) {
      const Node* shared = node->is_call() ? shared_by(*node) : nullptr;
      owners_[node] = shared == nullptr ? node : of(shared);
    }
  }

  const Node* of(const Node* value) const {
    const auto found = owners_.find(value);
    return found == owners_.end() ? value : found->second;
  }

 private:
  static const Node* shared_by(const Node& call) {
    const std::vector<c10::Argument>& arguments = call.op().schema().arguments();
    const auto shared = std::find_if(arguments.begin(), arguments.end(),
                                     [](const c10::Argument& each) { return each.alias_info() != nullptr; });
    return shared == arguments.end() ? nullptr : call.arg(static_cast<size_t>(shared - arguments.begin())).node();
  }

  std::unordered_map<const Node*, const Node*> owners_;
};

// Asked once of each buffer, however often it is written.
class States {
 public:
  explicit States(const GraphModule& module) : module_(module) {}

  bool contain(const Node* owner) {
    if (owner == nullptr || !owner->is_get_attr()) return false;
    const auto [known, is_new] = known_.try_emplace(owner, false);
    if (is_new) known->second = is_state(*owner);
    return known->second;
  }

 private:
  bool is_state(const Node& owner) const {
    if (module_.attr_kind(owner.target()) != AttrKind::kBuffer) return false;
    const std::vector<Node*> users = owner.users();
    const auto is_batch_norm = [](const Node* user) { return user->is(Trait::kBatchNorm); };
    const bool is_statistic = std::any_of(users.begin(), users.end(), is_batch_norm);
    return !is_statistic && module_.attr(owner.target()).is_floating_point();
  }

  const GraphModule& module_;
  std::unordered_map<const Node*, bool> known_;
};

}  // namespace

std::vector<const Node*> written_buffers(const GraphModule& module) {
  const Owners owners(module);
  States states(module);
  std::vector<const Node*> written;
  std::unordered_set<const Node*> seen;
  for (const Node* node : module.graph().nodes()) {
    if (!node->is_call() || node->is(Trait::kBatchNorm)) continue;
    const std::vector<c10::Argument>& arguments = node->op().schema().arguments();
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (arguments[i].alias_info() == nullptr || !arguments[i].alias_info()->isWrite()) continue;
      const Node* owner = owners.of(node->arg(i).node());
      if (states.contain(owner) && seen.insert(owner).second) written.push_back(owner);
    }
  }
  return written;
}

void drop_last_writes(GraphModule& module) {
  const Owners owners(module);
  States states(module);
  std::unordered_set<const Node*> read;  // owners of what later nodes read
  const std::vector<Node*> nodes = module.graph().nodes();
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    Node* node = *it;
    const Node* owner = node->is_call("aten.copy_.default") ? owners.of(node->arg(size_t{0}).node()) : nullptr;
    if (owner != nullptr && node->user_count() == 0 && states.contain(owner) && !read.contains(owner)) {
      module.graph().erase(node);
      continue;
    }
    for (const Node* input : node->inputs()) read.insert(owners.of(input));
  }
}

}  // namespace octet
