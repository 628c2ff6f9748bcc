#include "octet/targets/engine/placement/partitioner.h"

#include <map>
#include <unordered_set>

namespace octet::targets {
namespace {

// Nodes and groups of nodes as the vertices of one graph without cycles: a group is one vertex. Two groups may become
// one unless that closes a cycle, which is so where a path of two edges or more leads from one to the other.
//
// The reference walks the whole graph for each pair of groups at each node. Here only what leads to a group is walked,
// pairs are not asked again as long as no groups were joined, and a group that reaches all earlier ones stands for
// them: chains, forked or not, cost their length. What costs more is a graph of many groups that can't be joined and
// do not lie in a row, which costs the square of their number at most.
class Partitioner {
 public:
  explicit Partitioner(const Graph& graph) : nodes_(graph.nodes()), vertices_(nodes_.size()) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      index_[nodes_[i]] = i;
      vertices_[i].parent = i;
    }
  }

  std::unordered_map<const Node*, int64_t> run(const std::function<bool(const Node&)>& is_supported) {
    bool joined = false;  // since the oldest group was last held against all others
    for (size_t back = nodes_.size(); back-- > 0;) {
      const bool supported = is_supported(*nodes_[back]);
      if (supported) groups_[vertices_[back].group = next_++] = back;
      if (supported || !nodes_[back]->inputs().empty()) connect(back);
      if (groups_.size() < 2 || (!supported && !joined)) continue;
      const size_t before = groups_.size();
      join_others(supported ? vertices_[back].group : groups_.begin()->first, supported);
      joined = groups_.size() < before || (supported && joined);
    }
    return numbered();
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  struct Vertex {
    size_t parent = 0;                // of a node in a group: towards the vertex of the group
    size_t group = kNone;             // its number; a smaller one is older
    size_t covers = 0;                // all other groups of smaller numbers than this can be reached
    bool leads_to_group = false;      // of a node in no group
    std::unordered_set<size_t> outs;  // vertices that read it
    std::unordered_set<size_t> ins;   // vertices of nodes seen so far that it reads
  };

  // The groups that can't be joined to one.
  struct Blocked {
    std::unordered_set<size_t> vertices;
    size_t below = 0;        // and every group of a smaller number
    size_t coverer = kNone;  // but the vertex that says so
  };

  size_t vertex_of(size_t node) {
    size_t at = node;
    while (vertices_[at].parent != at) at = vertices_[at].parent = vertices_[vertices_[at].parent].parent;
    return at;
  }

  void connect(size_t node) {
    Vertex& vertex = vertices_[node];
    for (const Node* user : nodes_[node]->users()) {
      const size_t reader = vertex_of(index_.at(user));
      vertex.outs.insert(reader);
      vertices_[reader].ins.insert(node);
      vertex.leads_to_group |= vertices_[reader].group != kNone || vertices_[reader].leads_to_group;
    }
  }

  bool is_blocked(const Blocked& blocked, size_t group, size_t vertex) const {
    return blocked.vertices.count(vertex) > 0 || (group < blocked.below && vertex != blocked.coverer);
  }

  // True where nothing is left to find out.
  bool all_are_blocked(const Blocked& blocked, size_t self) const {
    if (blocked.coverer != kNone && blocked.vertices.count(blocked.coverer) == 0) return false;
    for (auto group = groups_.lower_bound(blocked.below); group != groups_.end(); ++group) {
      if (group->second != self && blocked.vertices.count(group->second) == 0) return false;
    }
    return true;
  }

  // Vertices at the end of a path of two edges or more from `self`. True where those are all other groups.
  bool walk_forward(size_t self, Blocked& blocked) const {
    std::unordered_set<size_t> seen;
    std::vector<size_t> pending;
    const auto visit = [&](size_t vertex) {
      const bool matters = vertices_[vertex].group != kNone || vertices_[vertex].leads_to_group;
      if (matters && seen.insert(vertex).second) pending.push_back(vertex);
    };
    for (const size_t reader : vertices_[self].outs) visit(reader);
    while (!pending.empty()) {
      const size_t vertex = pending.back();
      pending.pop_back();
      if (vertices_[vertex].covers > blocked.below) {
        blocked.below = vertices_[vertex].covers;
        blocked.coverer = vertex;
      }
      for (const size_t reader : vertices_[vertex].outs) {
        blocked.vertices.insert(reader);
        visit(reader);
      }
      if (all_are_blocked(blocked, self)) return true;
    }
    return all_are_blocked(blocked, self);
  }

  // The same against the edges.
  void walk_backward(size_t self, Blocked& blocked) const {
    std::unordered_set<size_t> seen;
    std::vector<size_t> pending;
    const auto visit = [&](size_t vertex) {
      if (seen.insert(vertex).second) pending.push_back(vertex);
    };
    for (const size_t producer : vertices_[self].ins) visit(producer);
    while (!pending.empty()) {
      const size_t vertex = pending.back();
      pending.pop_back();
      for (const size_t producer : vertices_[vertex].ins) {
        blocked.vertices.insert(producer);
        visit(producer);
      }
    }
  }

  // Joins the group to each other one that it may be joined to, in the order of their age.
  void join_others(size_t self, bool is_new) {
    const auto blocked_of = [&](size_t group) {
      Blocked blocked;
      const size_t vertex = groups_.at(group);
      if (walk_forward(vertex, blocked)) {
        if (is_new && vertices_[vertex].ins.empty())
          vertices_[vertex].covers = std::max(vertices_[vertex].covers, group);
        blocked.below = kNone;
        blocked.coverer = kNone;
        return blocked;
      }
      walk_backward(vertex, blocked);
      return blocked;
    };
    Blocked blocked = blocked_of(self);
    if (blocked.below == kNone) return;
    std::vector<size_t> others;
    for (const auto& [group, vertex] : groups_) {
      if (group != self) others.push_back(group);
    }
    for (const size_t other : others) {
      if (is_blocked(blocked, other, groups_.at(other))) continue;
      self = join(self, other);
      if (other == others.back()) return;
      blocked = blocked_of(self);
    }
  }

  // The older group keeps its place in the order.
  size_t join(size_t a, size_t b) {
    const size_t kept = std::min(a, b);
    size_t whole = groups_.at(a);
    size_t part = groups_.at(b);
    const auto degree = [&](size_t vertex) { return vertices_[vertex].outs.size() + vertices_[vertex].ins.size(); };
    if (degree(whole) < degree(part)) std::swap(whole, part);
    Vertex& into = vertices_[whole];
    Vertex& from = vertices_[part];
    for (const size_t reader : from.outs) {
      vertices_[reader].ins.erase(part);
      if (reader == whole) continue;
      vertices_[reader].ins.insert(whole);
      into.outs.insert(reader);
    }
    for (const size_t producer : from.ins) {
      vertices_[producer].outs.erase(part);
      if (producer == whole) continue;
      vertices_[producer].outs.insert(whole);
      into.ins.insert(producer);
    }
    from.outs.clear();
    from.ins.clear();
    from.parent = whole;
    into.group = kept;
    into.covers = std::max(into.covers, from.covers);
    groups_.erase(std::max(a, b));
    groups_[kept] = whole;
    return kept;
  }

  std::unordered_map<const Node*, int64_t> numbered() {
    std::unordered_map<const Node*, int64_t> result;
    std::map<size_t, int64_t> numbers;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const size_t group = vertices_[vertex_of(i)].group;
      if (group == kNone) continue;
      const auto [number, is_new] = numbers.emplace(group, static_cast<int64_t>(numbers.size()));
      result[nodes_[i]] = number->second;
    }
    return result;
  }

  std::vector<Node*> nodes_;
  std::unordered_map<const Node*, size_t> index_;
  std::vector<Vertex> vertices_;
  std::map<size_t, size_t> groups_;  // vertex by number
  size_t next_ = 0;
};

}  // namespace

std::unordered_map<const Node*, int64_t> partition(const Graph& graph,
                                                   const std::function<bool(const Node&)>& is_supported) {
  return Partitioner(graph).run(is_supported);
}

}  // namespace octet::targets
