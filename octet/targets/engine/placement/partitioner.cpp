#include "octet/targets/engine/placement/partitioner.h"

#include <map>

namespace octet::targets {
namespace {

// Groups may become one unless a path of two steps or more, every group and every other node a step, leads from one to
// the other: that would leave the one group and come back.
//
// The reference asks that of each pair at each node, by a walk over the whole graph. It need not be walked: from a
// newer group a path leads to every older one, always. For a node joins the first group that it may, and it may join
// any that it does not reach: it stays alone only where it reaches the newest, and so all. Therefore
// - of the groups that a node reaches, all but the newest are behind another, and that one is where a node in no group
//   leads to it;
// - two groups with a third between them never join, and of two neighbours only a node in no group can stand between.
// Each node keeps the newest group that it leads to, and the whole takes one walk.
class Partitioner {
 public:
  explicit Partitioner(const Graph& graph) : nodes_(graph.nodes()), facts_(nodes_.size()) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      index_[nodes_[i]] = i;
      facts_[i].parent = i;
    }
  }

  std::unordered_map<const Node*, int64_t> run(const std::function<bool(const Node&)>& is_supported) {
    for (size_t back = nodes_.size(); back-- > 0;) {
      size_t beside = kNone;  // the newest group that reads the node
      size_t behind = kNone;  // and the newest that nodes in no group lead to from it
      for (const Node* user : nodes_[back]->users()) {
        const size_t reader = index_.at(user);
        if (facts_[reader].in_group) {
          beside = newer(beside, reader);
        } else {
          behind = newer(behind, facts_[reader].leads_to);
        }
      }
      if (is_supported(*nodes_[back])) {
        add(back, beside, behind);
      } else {
        facts_[back].leads_to = newer(beside, behind);
        if (!groups_.empty()) join_newer(groups_.begin()->second);
      }
    }
    return numbered();
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  struct Facts {
    size_t parent = 0;        // towards the node that stands for the group
    size_t number = 0;        // of the group, for the node that stands for it: a newer one has a larger
    size_t leads_to = kNone;  // a node of the newest group behind; of groups: that nodes in no group lead to
    bool in_group = false;
  };

  size_t group_of(size_t node) {
    if (node == kNone) return kNone;
    while (facts_[node].parent != node) node = facts_[node].parent = facts_[facts_[node].parent].parent;
    return node;
  }

  // The newer of the groups of two nodes.
  size_t newer(size_t a, size_t b) {
    a = group_of(a);
    b = group_of(b);
    if (a == kNone || b == kNone) return a == kNone ? b : a;
    return facts_[a].number < facts_[b].number ? b : a;
  }

  void add(size_t node, size_t beside, size_t behind) {
    facts_[node].in_group = true;
    facts_[node].number = next_++;
    facts_[node].leads_to = behind;
    const size_t newest = newer(beside, behind);
    auto first = groups_.begin();  // that it may join
    if (newest != kNone) {
      first = groups_.find(facts_[newest].number);
      if (newest == behind) ++first;
    }
    if (first == groups_.end()) {
      groups_[facts_[node].number] = node;
    } else {
      join_newer(join(first->second, node));
    }
  }

  // Joins newer groups to this one, as long as nothing stands between.
  void join_newer(size_t group) {
    auto next = groups_.upper_bound(facts_[group].number);
    while (next != groups_.end() && group_of(facts_[next->second].leads_to) != group) {
      const size_t joined = next->second;
      next = groups_.erase(next);
      group = join(group, joined);
    }
  }

  // The older group keeps its place in the order.
  size_t join(size_t older, size_t other) {
    facts_[older].leads_to = newer(facts_[older].leads_to, facts_[other].leads_to);
    facts_[other].parent = older;
    return older;
  }

  std::unordered_map<const Node*, int64_t> numbered() {
    std::unordered_map<const Node*, int64_t> result;
    std::map<size_t, int64_t> numbers;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (!facts_[i].in_group) continue;
      const auto number = numbers.emplace(facts_[group_of(i)].number, static_cast<int64_t>(numbers.size())).first;
      result[nodes_[i]] = number->second;
    }
    return result;
  }

  std::vector<Node*> nodes_;
  std::unordered_map<const Node*, size_t> index_;
  std::vector<Facts> facts_;
  std::map<size_t, size_t> groups_;  // by number, the node that stands for it
  size_t next_ = 0;
};

}  // namespace

std::unordered_map<const Node*, int64_t> partition(const Graph& graph,
                                                   const std::function<bool(const Node&)>& is_supported) {
  return Partitioner(graph).run(is_supported);
}

}  // namespace octet::targets
