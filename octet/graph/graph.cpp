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

constexpr int kLabelBits = 62;
constexpr uint64_t kEndOfLabels = uint64_t{1} << kLabelBits;
constexpr uint64_t kStride = uint64_t{1} << 32;

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
  raw->id_ = static_cast<int64_t>(by_id_.size());
  by_id_.push_back(raw);
  raw->position_ = nodes_.insert(insert_at_, std::move(node));
  give_label(raw->position_);
  by_name_[raw->name_] = raw;
  if (kind == NodeKind::kGetAttr) remember_read(raw);
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
  node->add_uses();
  return node;
}

Node* Graph::get_item(Node* tuple, int64_t index, const std::string& name) {
  Node* node = insert(NodeKind::kGetItem, "", name.empty() ? "getitem" : name);
  node->args_ = {Arg(tuple), Arg(index)};
  node->add_uses();
  return node;
}

Node* Graph::call_module(const std::string& target, std::vector<Arg> args, const std::string& name) {
  Node* node = insert(NodeKind::kCallModule, target, name.empty() ? last_part(target) : name);
  node->args_ = std::move(args);
  node->add_uses();
  return node;
}

Node* Graph::output(std::vector<Arg> results) {
  Node* node = insert(NodeKind::kOutput, "", "output");
  node->args_ = {Arg(std::move(results))};
  node->add_uses();
  return node;
}

void Graph::erase(Node* node) {
  if (node->user_count() > 0) {
    throw Error(node->where(), str("cannot be erased: '", node->users().front()->name(), "' still reads it"));
  }
  node->remove_uses();
  if (node->is_get_attr()) forget_read(node);
  by_name_.erase(node->name_);
  by_id_[static_cast<size_t>(node->id_)] = nullptr;
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
  // Its label orders it among the readers of what it reads: out before it changes, and in again.
  node->remove_uses();
  if (node->is_get_attr()) forget_read(node);
  nodes_.splice(position->position_, nodes_, node->position_);
  give_label(node->position_);
  if (node->is_get_attr()) remember_read(node);
  node->add_uses();
  touch();
}

// Half way between the neighbours; a stride behind the last.
void Graph::give_label(Nodes::iterator position) {
  const auto low = [&] { return position == nodes_.begin() ? 0 : (*std::prev(position))->label_; };
  const auto next = std::next(position);
  if (next == nodes_.end() && low() < kEndOfLabels - kStride) {
    (*position)->label_ = low() + kStride;
    return;
  }
  const auto gap = [&] { return (next == nodes_.end() ? kEndOfLabels : (*next)->label_) - low(); };
  if (gap() < 2) {
    (*position)->label_ = low();  // takes part in the spreading
    spread_labels(position);
  } else {
    (*position)->label_ = low() + gap() / 2;
  }
}

// Bender, Cole, Demaine, Farach-Colton, Zito: Two simplified algorithms for maintaining order in a list (2002). The
// smallest aligned range of 2^i labels around the position that holds few enough nodes is filled evenly. Nodes keep
// their order, and with it their places among readers.
void Graph::spread_labels(Nodes::iterator position) {
  constexpr double kFill = 1.5;  // a range of 2^i is full with (2 / kFill)^i nodes
  auto first = position;
  auto last = std::next(position);
  size_t count = 1;
  double capacity = 1;
  for (int bits = 1; bits <= kLabelBits; ++bits) {
    const uint64_t low = (*position)->label_ >> bits << bits;
    const uint64_t high = low + (uint64_t{1} << bits);
    for (; first != nodes_.begin() && (*std::prev(first))->label_ >= low; --first) ++count;
    for (; last != nodes_.end() && (*last)->label_ < high; ++last) ++count;
    capacity *= 2 / kFill;
    const uint64_t step = (high - low) / (count + 1);
    if (step < 2 || (static_cast<double>(count) > capacity && bits < kLabelBits)) continue;
    uint64_t label = low;
    for (auto node = first; node != last; ++node) (*node)->label_ = label += step;
    return;
  }
  throw Error("graph", "holds too many nodes");
}

Node* Graph::node(int64_t id) const {
  return id >= 0 && id < static_cast<int64_t>(by_id_.size()) ? by_id_[static_cast<size_t>(id)] : nullptr;
}

const std::set<Node*, InGraphOrder>& Graph::reads_of(const std::string& target) const {
  static const std::set<Node*, InGraphOrder> none;
  const auto found = reads_.find(target);
  return found == reads_.end() ? none : found->second;
}

void Graph::remember_read(Node* node) { reads_[node->target_].insert(node); }

void Graph::forget_read(Node* node) {
  const auto found = reads_.find(node->target_);
  found->second.erase(node);
  if (found->second.empty()) reads_.erase(found);
}

void Graph::verify() const {
  const auto fail = [](const std::string& where, const std::string& what) {
    throw Error(where, what, ErrorCategory::kInternal);
  };
  std::unordered_set<const Node*> defined;
  std::unordered_map<const Node*, std::unordered_map<const Node*, Node::Uses>> uses;
  const Node* output_node = nullptr;
  const Node* previous = nullptr;
  for (const auto& owned : nodes_) {
    const Node* node = owned.get();
    if (output_node != nullptr) fail(node->where(), "stands after the output node");
    for (size_t i = 0; i < node->args().size(); ++i) {
      node->for_each_use(i, [&](Node* input, const Node::Use& use) {
        if (!defined.count(input)) fail(node->where(), str("reads '", input->name(), "' before it is defined"));
        uses[input][node].push_back(use);
      });
    }
    if (node->is_call()) {
      in_category(ErrorCategory::kInternal,
                  [&] { return bind_arguments(node->op(), node->args(), {}, node->where()); });
    }
    if (previous != nullptr && !before(previous, node)) fail(node->where(), "its label is out of order");
    if (node->kind() == NodeKind::kOutput) output_node = node;
    previous = node;
    defined.insert(node);
  }
  if (output_node == nullptr) fail("graph", "has no output node");
  for (const auto& owned : nodes_) {
    const auto& counted = uses[owned.get()];
    const auto& kept = owned->users_;
    const bool same = counted.size() == kept.size() && std::all_of(kept.begin(), kept.end(), [&](const auto& entry) {
                        const auto found = counted.find(entry.first);
                        if (found == counted.end()) return false;
                        Node::Uses places = entry.second;
                        std::sort(places.begin(), places.end());
                        return found->second == places;
                      });
    if (!same) fail(owned->where(), "the list of its users is wrong");
  }
}

NodeMap Graph::copy_from(const Graph& source) {
  if (!nodes_.empty()) throw Error("graph", "is copied into one that holds nodes already");
  NodeMap copies;
  copies.reserve(source.size());
  for (const auto& owned : source.nodes_) {
    const Node& node = *owned;
    Node* copy = insert(node.kind_, node.target_, node.name_);
    copy->id_ = node.id_;
    copy->op_ = node.op_;
    copy->meta_ = node.meta_;
    copy->element_metas_ = node.element_metas_;
    copy->notes_ = node.notes_;
    for (const Arg& arg : node.args_) {
      copy->args_.push_back(arg.map_nodes([&](Node* input) { return copies.at(input); }));
    }
    copy->add_uses();
    copies[&node] = copy;
  }
  by_id_.assign(source.by_id_.size(), nullptr);
  for (const auto& [original, copy] : copies) {
    by_id_[static_cast<size_t>(copy->id_)] = copy;
    copy->notes_.remap(copies);
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
