#pragma once

#include <list>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "octet/graph/node.h"
#include "octet/support/api.h"

namespace octet {

using NamedArgs = std::vector<std::pair<std::string, Arg>>;

/// A straight-line program in execution order: placeholders, steps, one output.
///
/// Nodes stand in a list, each under a label that ascends along it. A new node takes a label between its neighbours';
/// where there is none left, labels nearby are spread, so that an edit costs a constant, and at worst the logarithm of
/// the graph's size in the mean. Which node stands first is one comparison, and readers are kept in order.
class OCTET_API Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// A snapshot in execution order: nodes may be added and erased while it is walked.
  std::vector<Node*> nodes() const;
  std::vector<Node*> placeholders() const;
  /// The output node; throws octet::Error where the graph has none yet.
  Node* output() const;
  /// The node of this name, or nullptr.
  Node* find(std::string_view name) const;
  /// The node of this id, or nullptr where it was erased or never was.
  Node* node(int64_t id) const;
  /// True where the node that a note names still stands in this graph.
  bool holds(const NodeRef& ref) const { return ref.id() >= 0 && node(ref.id()) == ref; }
  size_t size() const { return nodes_.size(); }
  /// The kGetAttr nodes of this target, in graph order.
  const std::set<Node*, InGraphOrder>& reads_of(const std::string& target) const;

  // New nodes stand at the insert point, which is the end until an InsertPoint says otherwise. `name` is made unique.
  Node* placeholder(const std::string& name);
  Node* get_attr(const std::string& target, const std::string& name = "");
  /// A schema-checked call: arguments by position, then by name, defaults filled in.
  Node* call(const std::string& op, std::vector<Arg> args, NamedArgs named = {}, const std::string& name = "");
  Node* call(const Op& op, std::vector<Arg> args, NamedArgs named = {}, const std::string& name = "");
  Node* get_item(Node* tuple, int64_t index, const std::string& name = "");
  Node* call_module(const std::string& target, std::vector<Arg> args, const std::string& name = "");
  Node* output(std::vector<Arg> results);

  /// Removes a node that nobody reads; throws octet::Error naming a reader otherwise.
  void erase(Node* node);
  /// Removes what no result and no side effect needs. Placeholders stay. Returns how many nodes went.
  size_t eliminate_dead_code();
  /// Moves `node` in front of `position`.
  void move_before(Node* node, Node* position);
  /// Throws octet::Error at the first broken rule: use before definition, wrong use counts, no output, schema mismatch.
  void verify() const;
  /// True if `a` stands before `b`.
  bool before(const Node* a, const Node* b) const { return InGraphOrder()(a, b); }

  /// Stable text, a line a node: `%relu : aten.relu.default(%conv2d) -> float32[1, 8, 16, 16]`.
  std::string text() const;
  /// A table like torch.fx's print_tabular: opcode, name, target, args.
  std::string table() const;

  /// Changes with every edit; the interpreter re-plans when it does.
  int64_t version() const { return version_; }
  void touch() { ++version_; }

  /// Copies all nodes of `source` into this empty graph, ids and notes with them. Returns old node -> new node.
  NodeMap copy_from(const Graph& source);

  /// While it lives, new nodes stand before (or after) `node`. After: several come in the order of their making.
  class InsertPoint {
   public:
    InsertPoint(Graph& graph, std::list<std::unique_ptr<Node>>::iterator position);
    ~InsertPoint();
    InsertPoint(const InsertPoint&) = delete;
    InsertPoint& operator=(const InsertPoint&) = delete;

   private:
    friend class Graph;
    Graph& graph_;
    std::list<std::unique_ptr<Node>>::iterator previous_;
    InsertPoint* outer_;
  };
  [[nodiscard]] InsertPoint inserting_before(Node* node);
  [[nodiscard]] InsertPoint inserting_after(Node* node);

 private:
  friend class Node;
  using Nodes = std::list<std::unique_ptr<Node>>;

  Node* insert(NodeKind kind, const std::string& target, const std::string& name);
  std::string unique_name(std::string wanted);
  void give_label(Nodes::iterator position);
  void spread_labels(Nodes::iterator position);
  void remember_read(Node* node);
  void forget_read(Node* node);

  Nodes nodes_;
  Nodes::iterator insert_at_ = nodes_.end();
  InsertPoint* innermost_ = nullptr;
  std::vector<Node*> by_id_;  // null where erased
  std::unordered_map<std::string, Node*> by_name_;
  std::unordered_map<std::string, std::set<Node*, InGraphOrder>> reads_;  // kGetAttr nodes by target
  std::unordered_map<std::string, int64_t> next_suffix_;
  int64_t version_ = 0;
};

/// Normalizes arguments against a schema: defaults filled in, constants coerced (int to float, int to int[2]) and
/// checked. A number given for a Tensor argument stays a number (`aten.add.Tensor(%x, 1)`, as torch.export writes it);
/// the interpreter makes a wrapped scalar of it. `where` names the node in errors.
OCTET_API std::vector<Arg> bind_arguments(const Op& op, std::vector<Arg> args, NamedArgs named,
                                          const std::string& where);
/// The same for the one argument `index`.
OCTET_API Arg bind_argument(const Op& op, size_t index, const Arg& value, const std::string& where);

}  // namespace octet
