#include "octet/graph/match.h"

#include <unordered_set>

#include "octet/support/error.h"

namespace octet {

const Arg& Match::arg(const std::string& capture) const {
  const auto found = captures_.find(capture);
  if (found == captures_.end()) throw Error(root_->where(), "the pattern captured no '" + capture + "'");
  return found->second;
}

Node* Match::node(const std::string& capture) const {
  const auto found = captures_.find(capture);
  return found == captures_.end() ? nullptr : found->second.node();
}

struct Pattern::Term {
  enum class Kind { kAny, kValue, kConstant, kNone, kGetAttr, kCall, kElement, kEither };
  Kind kind = Kind::kAny;
  std::string capture;
  std::vector<OpName> ops;
  std::vector<Pattern> inputs;
  std::vector<std::pair<std::string, Pattern>> named;
  std::vector<std::pair<std::string, std::string>> constants;  // argument and the constant's text
  std::vector<std::function<bool(const Node&)>> conditions;
  int64_t index = 0;
  bool sole_use = false;
  bool commutative = false;
};

Pattern::Pattern(const Term& term) : term_(std::make_shared<Term>(term)) {}

Pattern Pattern::any(const std::string& capture) {
  Term term;
  term.capture = capture;
  return Pattern(term);
}

Pattern Pattern::value(const std::string& capture) {
  Term term;
  term.kind = Term::Kind::kValue;
  term.capture = capture;
  return Pattern(term);
}

Pattern Pattern::constant(const std::string& capture) {
  Term term;
  term.kind = Term::Kind::kConstant;
  term.capture = capture;
  return Pattern(term);
}

Pattern Pattern::none() {
  Term term;
  term.kind = Term::Kind::kNone;
  return Pattern(term);
}

Pattern Pattern::get_attr(const std::string& capture) {
  Term term;
  term.kind = Term::Kind::kGetAttr;
  term.capture = capture;
  return Pattern(term);
}

Pattern Pattern::call(std::vector<OpName> ops, std::vector<Pattern> inputs, const std::string& capture) {
  Term term;
  term.kind = Term::Kind::kCall;
  term.capture = capture;
  term.ops = std::move(ops);
  term.inputs = std::move(inputs);
  return Pattern(term);
}

Pattern Pattern::element(Pattern tuple, int64_t index, const std::string& capture) {
  Term term;
  term.kind = Term::Kind::kElement;
  term.capture = capture;
  term.inputs = {std::move(tuple)};
  term.index = index;
  return Pattern(term);
}

Pattern Pattern::either(std::vector<Pattern> choices) {
  Term term;
  term.kind = Term::Kind::kEither;
  term.inputs = std::move(choices);
  return Pattern(term);
}

Pattern Pattern::maybe(std::vector<OpName> wrapper_ops, Pattern inner, const std::string& capture) {
  return either({call(std::move(wrapper_ops), {inner.sole_use()}, capture), std::move(inner)});
}

Pattern Pattern::with(const std::string& argument, Pattern pattern) const {
  Term term = *term_;
  term.named.emplace_back(argument, std::move(pattern));
  return Pattern(term);
}

Pattern Pattern::with(const std::string& argument, Arg constant) const {
  Term term = *term_;
  term.constants.emplace_back(argument, constant.text());
  return Pattern(term);
}

Pattern Pattern::sole_use() const {
  Term term = *term_;
  term.sole_use = true;
  return Pattern(term);
}

Pattern Pattern::commutative() const {
  Term term = *term_;
  term.commutative = true;
  return Pattern(term);
}

Pattern Pattern::where(std::function<bool(const Node&)> condition) const {
  Term term = *term_;
  term.conditions.push_back(std::move(condition));
  return Pattern(term);
}

bool Pattern::capture(const Term& term, const Arg& arg, Match& match) {
  if (term.capture.empty()) return true;
  const auto [found, fresh] = match.captures_.emplace(term.capture, arg);
  if (fresh) return true;
  return found->second.is_node() || arg.is_node() ? found->second.node() == arg.node()
                                                  : found->second.text() == arg.text();
}

bool Pattern::matches(const Term& term, const Arg& arg, Match& match) {
  const Node* node = arg.node();
  if (term.kind == Term::Kind::kEither) {
    for (const Pattern& choice : term.inputs) {
      Match attempt = match;
      if (!(term.sole_use && node != nullptr && node->use_count() != 1) && matches(*choice.term_, arg, attempt) &&
          capture(term, arg, attempt)) {
        match = std::move(attempt);
        return true;
      }
    }
    return false;
  }
  switch (term.kind) {
    case Term::Kind::kAny:
      return capture(term, arg, match);
    case Term::Kind::kConstant:
      return arg.is_constant() && !arg.is_none() && capture(term, arg, match);
    case Term::Kind::kNone:
      return arg.is_none();
    case Term::Kind::kValue:
      break;
    case Term::Kind::kGetAttr:
      if (node == nullptr || node->kind() != NodeKind::kGetAttr) return false;
      break;
    case Term::Kind::kElement:
      if (node == nullptr || node->kind() != NodeKind::kGetItem || node->args()[1].to_int() != term.index) return false;
      break;
    case Term::Kind::kCall:
      if (node == nullptr || !is_any_of(node, term.ops)) return false;
      break;
    case Term::Kind::kEither:
      return false;
  }
  if (node == nullptr) return false;
  if (term.sole_use && node->use_count() != 1) return false;
  for (const auto& condition : term.conditions) {
    if (!condition(*node)) return false;
  }
  for (const auto& [name, text] : term.constants) {
    if (!node->has_arg(name) || node->arg(name).text() != text) return false;
  }
  if (!capture(term, arg, match)) return false;
  if (term.kind != Term::Kind::kValue) {
    auto& nodes = match.nodes_;
    if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(arg.node());
  }
  const auto inputs_match = [&](bool swapped, Match& attempt) {
    for (size_t i = 0; i < term.inputs.size(); ++i) {
      const size_t at = swapped && i < 2 ? 1 - i : i;
      if (at >= node->args().size() || !matches(*term.inputs[i].term_, node->args()[at], attempt)) return false;
    }
    for (const auto& [name, pattern] : term.named) {
      if (!node->has_arg(name) || !matches(*pattern.term_, node->arg(name), attempt)) return false;
    }
    return true;
  };
  Match attempt = match;
  if (inputs_match(false, attempt)) {
    match = std::move(attempt);
    return true;
  }
  if (!term.commutative || term.inputs.size() < 2) return false;
  attempt = match;
  if (!inputs_match(true, attempt)) return false;
  match = std::move(attempt);
  return true;
}

std::optional<Match> Pattern::match(Node* node) const {
  Match found;
  found.root_ = node;
  if (!matches(*term_, Arg(node), found)) return std::nullopt;
  return found;
}

std::vector<Match> Pattern::find_all(const Graph& graph) const {
  std::vector<Match> all;
  std::unordered_set<const Node*> taken;
  for (Node* node : graph.nodes()) {
    if (node->kind() == NodeKind::kOutput) continue;
    std::optional<Match> found = match(node);
    if (!found) continue;
    // Attributes may be shared: two convolutions of one weight are two matches.
    const auto overlaps = [&](const Node* part) { return !part->is_get_attr() && taken.count(part) > 0; };
    if (std::any_of(found->nodes().begin(), found->nodes().end(), overlaps)) continue;
    taken.insert(found->nodes().begin(), found->nodes().end());
    all.push_back(std::move(*found));
  }
  return all;
}

Node* sole_user(const Node* node) {
  if (node->user_count() != 1) return nullptr;
  return node->users().front();
}

std::vector<Node*> readers_through(const Node& value, const std::function<bool(const Node&)>& through) {
  std::vector<Node*> found;
  std::unordered_set<const Node*> seen;
  std::vector<Node*> open;
  const auto open_users = [&](const Node& node) {
    const std::vector<Node*> users = node.users();
    open.insert(open.end(), users.rbegin(), users.rend());
  };
  open_users(value);
  while (!open.empty()) {
    Node* reader = open.back();
    open.pop_back();
    if (!seen.insert(reader).second) continue;
    if (through(*reader)) {
      open_users(*reader);
    } else {
      found.push_back(reader);
    }
  }
  return found;
}

bool is_any_of(const Node* node, const std::vector<OpName>& ops) {
  return node != nullptr && node->is_call() && std::find(ops.begin(), ops.end(), node->op().name()) != ops.end();
}

std::vector<Node*> calls_of(const Graph& graph, const std::vector<OpName>& ops) {
  std::vector<Node*> found;
  for (Node* node : graph.nodes()) {
    if (is_any_of(node, ops)) found.push_back(node);
  }
  return found;
}

namespace {

// Everything around a new value: readers, meta, and what the match leaves dead.
void put_in_place(Graph& graph, const Match& match, Node* made) {
  Node* root = match.root();
  if (made == root) return;
  if (!made->meta()) made->set_meta(root->meta());
  root->replace_all_uses_with(made);
  std::vector<Node*> parts = match.nodes();
  std::sort(parts.begin(), parts.end(), [&](const Node* a, const Node* b) { return graph.before(b, a); });
  for (Node* part : parts) {
    if (part->user_count() == 0 && part != made) graph.erase(part);
  }
}

}  // namespace

Node* replace(Graph& graph, const Match& match, const std::function<Node*(Graph&)>& build) {
  Node* made = nullptr;
  {
    const auto at = graph.inserting_before(match.root());
    made = build(graph);
  }
  if (made == nullptr) throw Error(match.root()->where(), "its replacement is no node");
  put_in_place(graph, match, made);
  return made;
}

size_t replace_all(Graph& graph, const Pattern& pattern, const std::function<Node*(Graph&, const Match&)>& build) {
  size_t replaced = 0;
  const std::vector<Node*> nodes = graph.nodes();
  for (const NodeRef& node : std::vector<NodeRef>(nodes.begin(), nodes.end())) {
    if (!graph.holds(node) || node->kind() == NodeKind::kOutput) continue;
    const std::optional<Match> found = pattern.match(node);
    if (!found) continue;
    Node* made = nullptr;
    {
      const auto at = graph.inserting_before(node);
      made = build(graph, *found);
    }
    if (made == nullptr) continue;
    put_in_place(graph, *found, made);
    ++replaced;
  }
  return replaced;
}

}  // namespace octet
