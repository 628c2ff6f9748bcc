#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "octet/targets/engine/passes/memory.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/put_back.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// "aten.add_.Tensor" as "aten.add.Tensor"; nothing where there is none that takes the same.
std::optional<Op> without_write(const Op& op) {
  const std::string name(op.text());
  const size_t end = name.rfind('.');
  if (end == 0 || end == std::string::npos || name[end - 1] != '_') return std::nullopt;
  const std::optional<Op> found = Op::try_find(name.substr(0, end - 1) + name.substr(end));
  if (!found || found->mutates()) return std::nullopt;
  return found->schema().arguments().size() == op.schema().arguments().size() ? found : std::nullopt;
}

bool is_fill(const Node& node) {
  return node.is_call("aten.fill_.Scalar") || node.is_call("aten.fill_.Tensor") || node.is_call("aten.zero_.default");
}

// In place, what these find goes into a value of another type.
bool finds_truth(const Op& op) {
  constexpr std::array<std::string_view, 10> kOfTruth = {
      "eq_", "ne_", "lt_", "le_", "gt_", "ge_", "logical_and_", "logical_or_", "logical_xor_", "logical_not_"};
  return std::find(kOfTruth.begin(), kOfTruth.end(), op.short_name()) != kOfTruth.end();
}

// Computed from constants alone, in however many steps.
bool is_of_constants(const Node& value) {
  std::vector<const Node*> open = {&value};
  std::unordered_set<const Node*> met = {&value};
  while (!open.empty()) {
    const Node& node = *open.back();
    open.pop_back();
    if (!node.is_call() || node.op().mutates() || node.is(Trait::kRandom)) return false;
    for (const Node* input : node.inputs()) {
      const bool counts = !is_static(input) && !reads_type_alone(node, *input);
      if (counts && met.insert(input).second) open.push_back(input);
    }
  }
  return true;
}

// One write, and all that lies in the memory that it changes.
class Write {
 public:
  explicit Write(Node* node) : write_(node), graph_(node->graph()) {}

  bool replace() {
    if (!is_understood()) return false;
    const auto here = graph_.inserting_before(write_);
    Node* written = value_written();
    for (size_t i = 0; i + 1 < chain_.size(); ++i) {
      written = put_back(*chain_[i], chain_[i + 1], written, is_of_constant_);
    }
    renewed_[chain_.back()] = written;
    std::vector<std::pair<Node*, Node*>> changes;
    for (Node* alias : read_behind_) changes.emplace_back(alias, renewed(alias));
    changes.emplace_back(write_, renewed(chain_.front()));
    for (const auto& [old, now] : changes) {
      old->replace_all_uses_with(now, [&](Node* user) { return user == write_ || graph_.before(user, write_); });
    }
    graph_.erase(write_);
    return true;
  }

 private:
  // Fills chain_, from what is written to the value whose memory it is, and read_behind_.
  bool is_understood() {
    if (!write_->meta() || !write_->op().writes_argument(0) || !write_->args()[0].is_node()) return false;
    is_copy_ = write_->is_call("aten.copy_.default");
    const Node* place = write_->args()[0].node();
    // An activation in place behind another, say: targets know these.
    if (!is_copy_ && place->is_call() && place->op().mutates()) return false;
    for (Node* value = write_->args()[0].node();; value = value->args()[0].node()) {
      if (!value->meta()) return false;
      chain_.push_back(value);
      const Node* below = may_share_with(*value);
      if (below == nullptr) break;
      if (below != value->args()[0].node()) return false;
    }
    const Node& owner = *chain_.back();
    if (!owner.is_call()) return false;  // an input, or a tensor of the module: whoever holds it sees the write
    is_of_constant_ = is_of_constants(owner);
    bool is_part = false;
    for (size_t i = 0; i + 1 < chain_.size(); ++i) {
      if (!can_put_back(*chain_[i], is_of_constant_)) return false;
      is_part |= shows_a_part(*chain_[i], is_of_constant_);
    }
    gives_all_ = is_copy_ || (is_fill(*write_) && !is_of_constant_);
    if (!gives_all_ && !is_part && !is_of_constant_) return false;
    return can_compute() && finds_readers(owner);
  }

  // What is written can be computed by itself.
  bool can_compute() const {
    const std::vector<Node*> inputs = write_->inputs();
    if (!std::all_of(inputs.begin(), inputs.end(), [](const Node* node) { return node->meta().has_value(); })) {
      return false;
    }
    if (is_copy_) return write_->arg("src").is_node();
    if (gives_all_) return true;
    if (write_->is(Trait::kRandom) || !without_write(write_->op())) return false;
    const at::ScalarType type = chain_.front()->meta()->dtype;  // in place nothing changes it
    if (type != at::kBool && finds_truth(write_->op())) return false;
    return std::all_of(inputs.begin(), inputs.end(), [&](const Node* node) {
      return node->meta()->dtype == type || node->meta()->dtype == at::kBool;
    });
  }

  // What lies in the same memory, made before the write and read behind it: it is made again.
  bool finds_readers(const Node& owner) {
    std::vector<const Node*> values = {&owner};
    while (!values.empty()) {
      const Node* value = values.back();
      values.pop_back();
      for (Node* user : value->users()) {
        if (user == write_ || !graph_.before(user, write_) || may_share_with(*user) != value) continue;
        if (is_read_behind_write(*user)) {
          if (!can_be_made_again(*user)) return false;
          read_behind_.push_back(user);
        } else if (user->kind() == NodeKind::kGetItem || !can_be_made_again(*user)) {
          if (is_read_behind(*user, *write_)) return false;
        }
        values.push_back(user);
      }
    }
    if (is_read_behind_write(owner)) read_behind_.push_back(chain_.back());
    return true;
  }

  bool is_read_behind_write(const Node& value) const {
    const std::vector<Node*> users = value.users();
    return std::any_of(users.begin(), users.end(), [&](const Node* user) { return graph_.before(write_, user); });
  }

  static bool can_be_made_again(const Node& view) {
    if (!view.is_call() || !view.args()[0].is_node() || may_share_with(view) != view.args()[0].node()) return false;
    return !view.op().mutates() || is_the_same_value(view);
  }

  // What is there behind the write.
  Node* value_written() const {
    Node* place = chain_.front();
    if (!gives_all_) {
      Node* value = graph_.call(*without_write(write_->op()), write_->args());
      value->set_meta(*place->meta());
      copy_notes(*write_, *value);
      return value;
    }
    Node* source = is_copy_ ? write_->arg("src").node() : number_filled_in();
    if (source->meta()->dtype != place->meta()->dtype) {
      source = add_call("aten.to.dtype", {source, place->meta()->dtype}, source->sizes(), *write_);
      source->set_meta(TensorMeta{place->meta()->dtype, source->sizes()});
    }
    if (source->sizes() != place->sizes()) {
      source = add_call("aten.expand.default", {source, place->sizes()}, place->sizes(), *place);
    }
    return chain_.size() > 1 ? source : add_call("aten.clone.default", {source}, place->sizes(), *place);
  }

  // The same view of what is there now.
  Node* renewed(Node* alias) {
    std::vector<Node*> views;
    for (; renewed_.count(alias) == 0; alias = alias->args()[0].node()) views.push_back(alias);
    Node* now = renewed_.at(alias);
    for (; !views.empty(); views.pop_back()) {
      const Node& old = *views.back();
      if (!is_the_same_value(old)) {
        std::vector<Arg> args = old.args();
        args[0] = now;
        now = graph_.call(old.op(), std::move(args));
        now->set_meta(old.meta());
        now->set_element_metas(old.element_metas());
        copy_notes(old, *now);
      }
      renewed_[&old] = now;
    }
    return now;
  }

  Node* number_filled_in() const {
    const Arg number = write_->has_arg("value") ? write_->arg("value") : Arg(0.0);
    if (number.is_node()) return number.node();
    return add_call("aten.full.default", {std::vector<int64_t>{1}, number, chain_.front()->meta()->dtype}, {1},
                    *chain_.front());
  }

  Node* write_;
  Graph& graph_;
  std::vector<Node*> chain_;
  std::vector<Node*> read_behind_;
  std::unordered_map<const Node*, Node*> renewed_;
  bool is_copy_ = false;
  bool gives_all_ = false;  // nothing of what was there is left in the place
  bool is_of_constant_ = false;
};

// What is read of memory that nobody has written is any number: in the range of an observer, too.
bool fill_empties(Graph& graph) {
  struct Row {
    OpName empty;
    const char* zeros;
  };
  constexpr std::array<Row, 3> kRows = {{{"aten.empty_like.default", "aten.zeros_like.default"},
                                         {"aten.new_empty.default", "aten.new_zeros.default"},
                                         {"aten.empty.memory_format", "aten.zeros.default"}}};
  const auto zeros_for = [&](const Node& node) {
    return std::find_if(kRows.begin(), kRows.end(), [&](const Row& row) { return node.is_call(row.empty); });
  };
  const std::vector<Node*> empties =
      calls_where(graph, [&](const Node& node) { return zeros_for(node) != kRows.end(); });
  for (Node* empty : empties) {
    const auto here = graph.inserting_before(empty);
    const Op op = Op::find(zeros_for(*empty)->zeros);
    std::vector<Arg> args = empty->args();
    args.resize(std::min(args.size(), op.schema().arguments().size()));  // zeros have no memory format
    Node* zeros = graph.call(op, std::move(args));
    zeros->set_meta(empty->meta());
    copy_notes(*empty, *zeros);
    replace_node(empty, zeros);
  }
  return !empties.empty();
}

// The view that slice_scatter and select_scatter write into, at the graph's insert point; nullptr for others.
Node* view_written_by(const Node& node) {
  const bool is_slice = node.is_call("aten.slice_scatter.default");
  if (!is_slice && !node.is_call("aten.select_scatter.default")) return nullptr;
  const Node* src = node.arg("src").node();
  if (src == nullptr || !src->meta() || !node.arg("self").is_node() || !node.arg("self").node()->meta()) return nullptr;
  std::vector<Arg> args = {node.arg("self")};
  const std::vector<const char*> rest =
      is_slice ? std::vector<const char*>{"dim", "start", "end", "step"} : std::vector<const char*>{"dim", "index"};
  for (const char* argument : rest) args.push_back(node.arg(argument));
  return add_call(is_slice ? "aten.slice.Tensor" : "aten.select.int", std::move(args), src->sizes(), node);
}

// What is written as a value, where an export made values of writes.
Node* written_whole(const Node& node) {
  Node* self = node.arg("self").node();
  Node* src = node.arg("src").node();
  if (self == nullptr || src == nullptr || !self->meta() || !src->meta() || self->meta()->dtype != src->meta()->dtype) {
    return nullptr;
  }
  if (node.is_call("aten.copy.default")) {
    const bool has_sizes = self->sizes() == src->sizes();
    return has_sizes ? add_call("aten.clone.default", {src}, node.sizes(), node)
                     : add_call("aten.expand.default", {src, node.sizes()}, node.sizes(), node);
  }
  Node* view = view_written_by(node);
  if (view == nullptr) return nullptr;
  const bool is_of_constant = is_static(self) || is_of_constants(*self);
  Node* written = can_put_back(*view, is_of_constant) ? put_back(*view, self, src, is_of_constant) : nullptr;
  view->graph().erase(view);
  return written;
}

bool replace_functional_writes(Graph& graph) {
  bool changed = false;
  for (Node* node : calls_where(graph, [](const Node& each) {
         return each.meta() && (each.is_call("aten.slice_scatter.default") ||
                                each.is_call("aten.select_scatter.default") || each.is_call("aten.copy.default"));
       })) {
    const auto here = graph.inserting_before(node);
    Node* written = written_whole(*node);
    if (written == nullptr) continue;
    replace_by_parts(node, written);
    changed = true;
  }
  return changed;
}

// Who reads a value behind an operator that wrote all of it reads what the operator gives.
bool read_results(Node* write) {
  Node* place = write->op().writes_argument(0) ? write->args()[0].node() : nullptr;
  const bool is_of_graph = place != nullptr && place->is_call() && may_share_with(*place) == nullptr;
  if (!is_of_graph || may_share_with(*write) != place) return false;
  const auto stands_in_front = [&](const Node* user) { return !write->graph().before(write, user); };
  const std::vector<Node*> users = place->users();
  if (std::all_of(users.begin(), users.end(), stands_in_front)) return false;
  place->replace_all_uses_with(write, stands_in_front);
  return true;
}

}  // namespace

bool replace_writes(GraphModule& module) {
  bool changed = fill_empties(module.graph());
  changed |= replace_functional_writes(module.graph());
  for (Node* node : calls_where(module.graph(), [](const Node& each) { return each.op().mutates(); })) {
    changed |= Write(node).replace() || read_results(node);
  }
  return changed;
}

}  // namespace octet::targets
