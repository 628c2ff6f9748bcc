#include "octet/graph/graph.h"

#include "octet/support/error.h"

namespace octet {
namespace {

std::string last_part(const std::string& dotted) { return dotted.substr(dotted.rfind('.') + 1); }

std::string as_identifier(std::string text) {
  for (char& c : text) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0]))) text = "_" + text;
  return text;
}

}  // namespace

std::vector<Node*> Graph::nodes() const {
  std::vector<Node*> all;
  all.reserve(nodes_.size());
  for (const auto& node : nodes_) all.push_back(node.get());
  return all;
}

std::vector<Node*> Graph::placeholders() const {
  std::vector<Node*> found;
  for (const auto& node : nodes_) {
    if (node->kind() == NodeKind::kPlaceholder) found.push_back(node.get());
  }
  return found;
}

Node* Graph::output() const {
  for (auto it = nodes_.rbegin(); it != nodes_.rend(); ++it) {
    if ((*it)->kind() == NodeKind::kOutput) return it->get();
  }
  throw Error("graph", "has no output node");
}

Node* Graph::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : found->second;
}

std::string Graph::unique_name(std::string wanted) {
  wanted = as_identifier(std::move(wanted));
  if (!by_name_.count(wanted)) return wanted;
  int64_t& suffix = next_suffix_[wanted];
  std::string name;
  do {
    name = wanted + "_" + std::to_string(++suffix);
  } while (by_name_.count(name));
  return name;
}

Node* Graph::insert(NodeKind kind, const std::string& target, const std::string& name) {
  std::unique_ptr<Node> node(new Node());
  node->kind_ = kind;
  node->target_ = target;
  node->name_ = unique_name(name);
  node->graph_ = this;
  Node* raw = node.get();
  raw->position_ = nodes_.insert(insert_at_, std::move(node));
  by_name_[raw->name_] = raw;
  touch();
  return raw;
}

Node* Graph::placeholder(const std::string& name) { return insert(NodeKind::kPlaceholder, name, name); }

Node* Graph::get_attr(const std::string& target, const std::string& name) {
  return insert(NodeKind::kGetAttr, target, name.empty() ? target : name);
}

Node* Graph::call(const std::string& op, std::vector<Arg> args, NamedArgs named, const std::string& name) {
  return call(Op::find(op), std::move(args), std::move(named), name);
}

Node* Graph::call(const Op& op, std::vector<Arg> args, NamedArgs named, const std::string& name) {
  const std::string wanted = name.empty() ? std::string(op.short_name()) : name;
  std::vector<Arg> bound =
      bind_arguments(op, std::move(args), std::move(named), str(op.short_name(), " '", wanted, "'"));
  Node* node = insert(NodeKind::kCall, op.text(), wanted);
  node->op_ = op;
  node->args_ = std::move(bound);
  for (const Arg& arg : node->args_) node->add_uses(arg);
  return node;
}

Node* Graph::get_item(Node* tuple, int64_t index, const std::string& name) {
  Node* node = insert(NodeKind::kGetItem, "", name.empty() ? "getitem" : name);
  node->args_ = {Arg(tuple), Arg(index)};
  node->add_uses(node->args_[0]);
  return node;
}

Node* Graph::call_module(const std::string& target, std::vector<Arg> args, const std::string& name) {
  Node* node = insert(NodeKind::kCallModule, target, name.empty() ? last_part(target) : name);
  node->args_ = std::move(args);
  for (const Arg& arg : node->args_) node->add_uses(arg);
  return node;
}

Node* Graph::output(std::vector<Arg> results) {
  Node* node = insert(NodeKind::kOutput, "", "output");
  node->args_ = {Arg(std::move(results))};
  node->add_uses(node->args_[0]);
  return node;
}

void Graph::erase(Node* node) {
  if (node->user_count() > 0) {
    throw Error(node->where(), str("cannot be erased: '", node->users().front()->name(), "' still reads it"));
  }
  for (const Arg& arg : node->args_) node->remove_uses(arg);
  by_name_.erase(node->name_);
  const auto next = std::next(node->position_);
  if (insert_at_ == node->position_) insert_at_ = next;
  for (InsertPoint* point = innermost_; point != nullptr; point = point->outer_) {
    if (point->previous_ == node->position_) point->previous_ = next;
  }
  nodes_.erase(node->position_);
  touch();
}

size_t Graph::eliminate_dead_code() {
  size_t erased = 0;
  const std::vector<Node*> all = nodes();
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    Node* node = *it;
    const bool keeps = node->kind() == NodeKind::kPlaceholder || node->kind() == NodeKind::kOutput ||
                       (node->is_call() && (node->op().mutates() || node->op().schema().returns().empty()));
    if (keeps || node->user_count() > 0) continue;
    erase(node);
    ++erased;
  }
  return erased;
}

void Graph::move_before(Node* node, Node* position) {
  if (node == position) return;
  nodes_.splice(position->position_, nodes_, node->position_);
  touch();
}

void Graph::refresh_order() const {
  if (ordered_version_ == version_) return;
  int64_t order = 0;
  for (const auto& node : nodes_) node->order_ = order++;
  ordered_version_ = version_;
}

bool Graph::before(const Node* a, const Node* b) const {
  refresh_order();
  return a->order_ < b->order_;
}

void Graph::verify() const {
  std::unordered_set<const Node*> defined;
  std::unordered_map<const Node*, std::map<const Node*, int>> uses;
  const Node* output_node = nullptr;
  for (const auto& owned : nodes_) {
    const Node* node = owned.get();
    if (output_node != nullptr) throw Error(node->where(), "stands after the output node");
    for (const Arg& arg : node->args()) {
      arg.for_each_node([&](Node* input) {
        if (!defined.count(input)) throw Error(node->where(), str("reads '", input->name(), "' before it is defined"));
        ++uses[input][node];
      });
    }
    if (node->is_call()) bind_arguments(node->op(), node->args(), {}, node->where());
    if (node->kind() == NodeKind::kOutput) output_node = node;
    defined.insert(node);
  }
  if (output_node == nullptr) throw Error("graph", "has no output node");
  for (const auto& owned : nodes_) {
    const auto& counted = uses[owned.get()];
    const auto& kept = owned->users_;
    const bool same = counted.size() == kept.size() && std::all_of(kept.begin(), kept.end(), [&](const auto& entry) {
                        const auto found = counted.find(entry.first);
                        return found != counted.end() && found->second == entry.second;
                      });
    if (!same) throw Error(owned->where(), "the list of its users is wrong");
  }
}

std::unordered_map<const Node*, Node*> Graph::copy_from(const Graph& source) {
  std::unordered_map<const Node*, Node*> copies;
  for (const auto& owned : source.nodes_) {
    const Node& node = *owned;
    Node* copy = insert(node.kind_, node.target_, node.name_);
    copy->op_ = node.op_;
    copy->meta_ = node.meta_;
    copy->element_metas_ = node.element_metas_;
    copy->notes_ = node.notes_;
    for (const Arg& arg : node.args_) {
      copy->args_.push_back(arg.map_nodes([&](Node* input) { return copies.at(input); }));
      copy->add_uses(copy->args_.back());
    }
    copies[&node] = copy;
  }
  return copies;
}

Graph::InsertPoint::InsertPoint(Graph& graph, std::list<std::unique_ptr<Node>>::iterator position)
    : graph_(graph), previous_(graph.insert_at_), outer_(graph.innermost_) {
  graph_.insert_at_ = position;
  graph_.innermost_ = this;
}

Graph::InsertPoint::~InsertPoint() {
  graph_.insert_at_ = previous_;
  graph_.innermost_ = outer_;
}

Graph::InsertPoint Graph::inserting_before(Node* node) { return InsertPoint(*this, node->position_); }
Graph::InsertPoint Graph::inserting_after(Node* node) { return InsertPoint(*this, std::next(node->position_)); }

}  // namespace octet
