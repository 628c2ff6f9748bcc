#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octet/graph/graph.h"
#include "octet/support/api.h"

namespace octet {

/// What a pattern found: the value at its root, and what was captured by name.
class OCTET_API Match {
 public:
  Node* root() const { return root_; }
  /// The captured argument; throws octet::Error where the pattern has no such capture.
  const Arg& arg(const std::string& capture) const;
  /// The captured node, or nullptr where a constant was captured or the capture stands in another branch of `either`.
  Node* node(const std::string& capture) const;
  Node* operator[](const std::string& capture) const { return node(capture); }
  bool has(const std::string& capture) const { return captures_.count(capture) > 0; }
  /// The calls, attribute reads and elements that the pattern itself named, root first; each once.
  const std::vector<Node*>& nodes() const { return nodes_; }

 private:
  friend class Pattern;
  Node* root_ = nullptr;
  std::map<std::string, Arg> captures_;
  std::vector<Node*> nodes_;
};

/// A small tree of operators, matched by op and structure against a value and what feeds it. A value type:
///
///     const Pattern weight = Pattern::get_attr("weight");
///     const Pattern linear = Pattern::call({"aten.addmm.default"},
///                                          {Pattern::get_attr("bias"), Pattern::any("x"),
///                                           Pattern::call({"aten.t.default"}, {weight})});
///     for (const Match& match : linear.find_all(graph)) ...
///
/// The same capture twice must mean the same node (or equal constants).
class OCTET_API Pattern {
 public:
  /// Any argument: a node, a constant, None.
  static Pattern any(const std::string& capture = "");
  /// Any value of a node.
  static Pattern value(const std::string& capture = "");
  /// Any constant but None.
  static Pattern constant(const std::string& capture = "");
  static Pattern none();
  /// A parameter, buffer or constant of the module.
  static Pattern get_attr(const std::string& capture = "");
  /// A call of one of these ops, whose first arguments match `inputs` in schema order; the rest is free.
  static Pattern call(std::vector<OpName> ops, std::vector<Pattern> inputs, const std::string& capture = "");
  /// Element `index` of a tuple.
  static Pattern element(Pattern tuple, int64_t index, const std::string& capture = "");
  /// The first of these that matches.
  static Pattern either(std::vector<Pattern> choices);
  /// `wrapper(inner)` or `inner` alone: an activation that may be missing.
  static Pattern maybe(std::vector<OpName> wrapper_ops, Pattern inner, const std::string& capture = "");

  /// The argument of this schema name matches; for `call` patterns.
  Pattern with(const std::string& argument, Pattern pattern) const;
  /// The argument of this schema name prints as this constant does.
  Pattern with(const std::string& argument, Arg constant) const;
  /// The value has one reader, which reads it once.
  Pattern sole_use() const;
  /// The first two inputs may come in either order.
  Pattern commutative() const;
  /// A further condition on the node.
  Pattern where(std::function<bool(const Node&)> condition) const;

  /// Matches with `node` as the root.
  std::optional<Match> match(Node* node) const;
  /// All matches whose named nodes do not overlap, in graph order; an earlier root wins.
  std::vector<Match> find_all(const Graph& graph) const;

 private:
  struct Term;
  explicit Pattern(const Term& term);
  static bool matches(const Term& term, const Arg& arg, Match& match);
  static bool capture(const Term& term, const Arg& arg, Match& match);

  std::shared_ptr<const Term> term_;
};

/// The only node that reads this one, or nullptr where none or several do. A result of the program counts as a reader.
OCTET_API Node* sole_user(const Node* node);
/// The readers of a value, each once and depth first; in place of one that `through` holds for stand its own readers.
OCTET_API std::vector<Node*> readers_through(const Node& value, const std::function<bool(const Node&)>& through);
/// True for a call of any of these ops.
OCTET_API bool is_any_of(const Node* node, const std::vector<OpName>& ops);
/// The calls of any of these ops, in graph order.
OCTET_API std::vector<Node*> calls_of(const Graph& graph, const std::vector<OpName>& ops);

/// `build` makes new nodes in front of the match's root and returns the value that stands for it; readers of the root
/// read that instead, and the nodes of the match that nobody reads any more are erased. Returns the new value. Other
/// matches that were found before may name erased nodes then: replace_all takes care of that.
OCTET_API Node* replace(Graph& graph, const Match& match, const std::function<Node*(Graph&)>& build);
/// Replaces every match of the pattern, each found in the graph as the ones before left it. A `build` that returns
/// nullptr leaves its match as it is. Returns how many were replaced.
OCTET_API size_t replace_all(Graph& graph, const Pattern& pattern,
                             const std::function<Node*(Graph&, const Match&)>& build);

}  // namespace octet
