#include "octet/graph/written_buffers.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "octet/graph/trait.h"

namespace octet {
namespace {

bool is_written(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

// Whose memory a value lies in, and which of it anything reads but what writes there.
class Memory {
 public:
  explicit Memory(const GraphModule& module) : module_(module) {
    for (const Node* node : module.graph().nodes()) {
      const Node* shared = node->is_call() ? shared_by(*node) : nullptr;
      owners_[node] = shared == nullptr ? node : owner(shared);
      std::unordered_set<const Node*> written;
      for (const Node* each : written_by(*node)) written.insert(owner(each));
      for (const Node* input : node->inputs()) {
        const bool is_moved = shared == input && written.empty();
        if (!is_moved && !written.contains(owner(input))) read_.insert(owner(input));
      }
    }
  }

  const Node* owner(const Node* value) const {
    const auto found = owners_.find(value);
    return found == owners_.end() ? value : found->second;
  }

  // What the call writes in place.
  static std::vector<const Node*> written_by(const Node& node) {
    std::vector<const Node*> written;
    if (!node.is_call()) return written;
    const std::vector<c10::Argument>& arguments = node.op().schema().arguments();
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (is_written(arguments[i]) && node.arg(i).node() != nullptr) written.push_back(node.arg(i).node());
    }
    return written;
  }

  // True of a buffer that means something to the next run; asked once of each, however often it is written.
  bool is_state(const Node* owner) {
    if (owner == nullptr || !owner->is_get_attr()) return false;
    const auto [known, is_new] = states_.try_emplace(owner, false);
    if (is_new) known->second = looks_like_state(*owner);
    return known->second;
  }

 private:
  static const Node* shared_by(const Node& call) {
    const std::vector<c10::Argument>& arguments = call.op().schema().arguments();
    const auto shared = std::find_if(arguments.begin(), arguments.end(),
                                     [](const c10::Argument& each) { return each.alias_info() != nullptr; });
    return shared == arguments.end() ? nullptr : call.arg(static_cast<size_t>(shared - arguments.begin())).node();
  }

  bool looks_like_state(const Node& owner) const {
    if (module_.attr_kind(owner.target()) != AttrKind::kBuffer) return false;
    const std::vector<Node*> users = owner.users();
    const auto is_batch_norm = [](const Node* user) { return user->is(Trait::kBatchNorm); };
    if (std::any_of(users.begin(), users.end(), is_batch_norm)) return false;
    return module_.attr(owner.target()).is_floating_point() || read_.contains(&owner);
  }

  const GraphModule& module_;
  std::unordered_map<const Node*, const Node*> owners_;
  std::unordered_set<const Node*> read_;
  std::unordered_map<const Node*, bool> states_;
};

}  // namespace

std::vector<const Node*> written_buffers(const GraphModule& module) {
  Memory memory(module);
  std::vector<const Node*> written;
  std::unordered_set<const Node*> seen;
  for (const Node* node : module.graph().nodes()) {
    if (node->is_call() && node->is(Trait::kBatchNorm)) continue;
    for (const Node* each : Memory::written_by(*node)) {
      const Node* owner = memory.owner(each);
      if (memory.is_state(owner) && seen.insert(owner).second) written.push_back(owner);
    }
  }
  return written;
}

void drop_last_writes(GraphModule& module) {
  Memory memory(module);
  std::unordered_set<const Node*> read;  // owners of what later nodes read
  const std::vector<Node*> nodes = module.graph().nodes();
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    Node* node = *it;
    const Node* owner = node->is_call("aten.copy_.default") ? memory.owner(node->arg(size_t{0}).node()) : nullptr;
    if (owner != nullptr && node->user_count() == 0 && memory.is_state(owner) && !read.contains(owner)) {
      module.graph().erase(node);
      continue;
    }
    for (const Node* input : node->inputs()) read.insert(memory.owner(input));
  }
}

}  // namespace octet
