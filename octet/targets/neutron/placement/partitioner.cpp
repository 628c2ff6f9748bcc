#include "octet/targets/neutron/placement/partitioner.h"

#include <map>
#include <set>

namespace octet::neutron {
namespace {

class Partitioner {
 public:
  explicit Partitioner(const Graph& graph) : nodes_(graph.nodes()) {
    for (size_t i = 0; i < nodes_.size(); ++i) index_[nodes_[i]] = i;
    users_.resize(nodes_.size());
    for (size_t i = 0; i < nodes_.size(); ++i) {
      for (const Node* user : nodes_[i]->users()) users_[i].push_back(index_.at(user));
    }
    group_.assign(nodes_.size(), kNone);
  }

  std::unordered_map<const Node*, int64_t> run(const std::function<bool(const Node&)>& is_supported) {
    for (size_t back = nodes_.size(); back-- > 0;) {
      std::vector<size_t> candidates;
      if (is_supported(*nodes_[back])) {
        group_[back] = next_++;
        members_[group_[back]] = {back};
        candidates.push_back(group_[back]);
      }
      if (members_.size() < 2) continue;
      for (const auto& [group, unused] : members_) {
        if (candidates.empty() || group != candidates.front()) candidates.push_back(group);
      }
      size_t self = candidates.front();
      for (size_t i = 1; i < candidates.size(); ++i) {
        if (!closes_a_cycle(self, candidates[i])) self = merge(self, candidates[i]);
      }
    }
    return numbered();
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  // True if a path leaves the two groups and comes back, where every group on the way is one step.
  bool closes_a_cycle(size_t a, size_t b) const {
    std::vector<bool> seen(nodes_.size(), false);
    std::vector<size_t> pending;
    const auto visit_users = [&](size_t node) {
      for (const size_t user : users_[node]) {
        if (seen[user]) continue;
        seen[user] = true;
        pending.push_back(user);
      }
    };
    const auto is_inside = [&](size_t node) { return group_[node] == a || group_[node] == b; };
    for (const size_t group : {a, b}) {
      for (const size_t member : members_.at(group)) {
        for (const size_t user : users_[member]) {
          if (is_inside(user) || seen[user]) continue;
          seen[user] = true;
          pending.push_back(user);
        }
      }
    }
    std::set<size_t> entered;
    while (!pending.empty()) {
      const size_t node = pending.back();
      pending.pop_back();
      if (is_inside(node)) return true;
      visit_users(node);
      const size_t group = group_[node];
      if (group == kNone || !entered.insert(group).second) continue;
      for (const size_t member : members_.at(group)) visit_users(member);
    }
    return false;
  }

  // The older group keeps its place in the order.
  size_t merge(size_t a, size_t b) {
    const size_t kept = std::min(a, b);
    const size_t gone = std::max(a, b);
    for (const size_t member : members_.at(gone)) {
      group_[member] = kept;
      members_[kept].push_back(member);
    }
    members_.erase(gone);
    return kept;
  }

  std::unordered_map<const Node*, int64_t> numbered() const {
    std::unordered_map<const Node*, int64_t> result;
    std::map<size_t, int64_t> numbers;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (group_[i] == kNone) continue;
      const auto [number, is_new] = numbers.emplace(group_[i], static_cast<int64_t>(numbers.size()));
      result[nodes_[i]] = number->second;
    }
    return result;
  }

  std::vector<Node*> nodes_;
  std::unordered_map<const Node*, size_t> index_;
  std::vector<std::vector<size_t>> users_;
  std::vector<size_t> group_;
  std::map<size_t, std::vector<size_t>> members_;
  size_t next_ = 0;
};

}  // namespace

std::unordered_map<const Node*, int64_t> partition(const Graph& graph,
                                                   const std::function<bool(const Node&)>& is_supported) {
  return Partitioner(graph).run(is_supported);
}

}  // namespace octet::neutron
