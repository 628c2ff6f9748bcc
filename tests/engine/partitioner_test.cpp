// Partitions against the plain algorithm, which walks the whole graph for each pair of groups, on random graphs.
#include "octet/targets/engine/placement/partitioner.h"

#include <gtest/gtest.h>

#include <random>

namespace octet {
namespace {

class Plain {
 public:
  explicit Plain(const Graph& graph) : nodes_(graph.nodes()) {}

  std::vector<int64_t> run(const std::vector<bool>& supported) {
    group_.assign(nodes_.size(), -1);
    for (size_t back = nodes_.size(); back-- > 0;) {
      std::vector<int64_t> candidates;
      if (supported[back]) candidates.push_back(group_[back] = next_++);
      std::set<int64_t> groups(group_.begin(), group_.end());
      groups.erase(-1);
      for (const int64_t group : groups) {
        if (candidates.empty() || group != candidates.front()) candidates.push_back(group);
      }
      for (size_t i = 1; i < candidates.size(); ++i) {
        const int64_t a = candidates[0];
        const int64_t b = candidates[i];
        if (closes_a_cycle(a, b)) continue;
        candidates[0] = std::min(a, b);
        std::replace(group_.begin(), group_.end(), std::max(a, b), candidates[0]);
      }
    }
    std::map<int64_t, int64_t> numbers;
    for (int64_t& group : group_) {
      if (group >= 0) group = numbers.emplace(group, static_cast<int64_t>(numbers.size())).first->second;
    }
    return group_;
  }

 private:
  size_t index(const Node* node) const {
    return static_cast<size_t>(std::find(nodes_.begin(), nodes_.end(), node) - nodes_.begin());
  }

  bool closes_a_cycle(int64_t a, int64_t b) const {
    const auto inside = [&](size_t node) { return group_[node] == a || group_[node] == b; };
    std::set<size_t> seen;
    std::vector<size_t> pending;
    const auto visit_users = [&](size_t node) {
      for (const Node* user : nodes_[node]->users()) {
        if (seen.insert(index(user)).second) pending.push_back(index(user));
      }
    };
    for (size_t node = 0; node < nodes_.size(); ++node) {
      if (!inside(node)) continue;
      for (const Node* user : nodes_[node]->users()) {
        if (!inside(index(user)) && seen.insert(index(user)).second) pending.push_back(index(user));
      }
    }
    while (!pending.empty()) {
      const size_t node = pending.back();
      pending.pop_back();
      if (inside(node)) return true;
      for (size_t other = 0; other < nodes_.size(); ++other) {
        if (other == node || (group_[node] >= 0 && group_[other] == group_[node])) visit_users(other);
      }
    }
    return false;
  }

  std::vector<Node*> nodes_;
  std::vector<int64_t> group_;
  int64_t next_ = 0;
};

TEST(Partitioner, FindsThoseOfThePlainAlgorithm) {
  std::mt19937 random(11);
  const auto pick = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (int round = 0; round < 300; ++round) {
    Graph graph;
    std::vector<Node*> values = {graph.placeholder("x"), graph.placeholder("y")};
    const size_t reach = 1 + pick(6);  // how far back a step reads: rows or meshes
    const size_t rarity = 2 + pick(4);
    for (size_t step = 0; step < 30; ++step) {
      const auto any = [&] { return Arg(values[values.size() - 1 - pick(std::min(values.size(), reach))]); };
      if (pick(12) == 0) {
        values.push_back(graph.get_attr("w"));
      } else if (pick(3) == 0) {
        values.push_back(graph.call("aten.add.Tensor", {any(), any()}));
      } else {
        values.push_back(graph.call("aten.relu.default", {any()}));
      }
    }
    graph.output({values.back(), values[pick(values.size())]});
    std::vector<bool> supported;
    for (const Node* node : graph.nodes()) supported.push_back(node->is_call() && pick(rarity) > 0);
    size_t asked = 0;
    std::unordered_map<const Node*, size_t> place;
    for (const Node* node : graph.nodes()) place[node] = asked++;
    const auto found = targets::partition(graph, [&](const Node& node) { return supported[place.at(&node)]; });
    std::vector<int64_t> groups;
    for (const Node* node : graph.nodes()) groups.push_back(found.count(node) ? found.at(node) : -1);
    EXPECT_EQ(groups, Plain(graph).run(supported)) << graph.text();
  }
}

}  // namespace
}  // namespace octet
