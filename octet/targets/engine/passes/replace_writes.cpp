#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "octet/targets/engine/passes/memory.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// A part of a value along one dimension.
struct Part {
  int64_t dim = 0;
  int64_t start = 0;
  int64_t length = 0;
  bool drops_dim = false;  // a select
};

// The part that a slice without a step or a select takes, by numbers that are known. At another batch, a part of
// dimension 0 may be another part, unless it is `of_constant`.
std::optional<Part> part_taken_by(const Node& view, bool of_constant) {
  const bool is_slice = view.is_call("aten.slice.Tensor");
  if ((!is_slice && !view.is_call("aten.select.int")) || !view.meta()) return std::nullopt;
  const Node* whole = view.arg("self").node();
  if (whole == nullptr || !whole->meta() || !view.arg("dim").is_constant()) return std::nullopt;
  Part part;
  part.dim = positive_dim(view.arg("dim").to_int(), whole->meta()->rank());
  const int64_t size = whole->sizes().at(static_cast<size_t>(part.dim));
  const Arg& from = view.arg(is_slice ? "start" : "index");
  if (!from.is_constant()) return std::nullopt;
  part.start = from.is_none() ? 0 : std::clamp(positive_dim(from.to_int(), size), int64_t{0}, size);
  part.drops_dim = !is_slice;
  part.length = is_slice ? view.sizes().at(static_cast<size_t>(part.dim)) : 1;
  if (!is_slice) return part;
  const bool is_known = view.arg("end").is_constant() && view.arg("step").is_constant();
  const bool is_of_samples = part.dim == 0 && part.length != size && !of_constant;
  if (!is_known || view.arg("step").to_int() != 1 || is_of_samples) return std::nullopt;
  return part;
}

// Its result is its first argument as a whole, written or not.
bool is_the_same_value(const Node& node) {
  return node.is_call("aten.alias.default") || node.is_call("aten.detach.default") ||
         (node.op().mutates() && node.op().writes_argument(0) && node.args()[0].is_node());
}

// "aten.add_.Tensor" as "aten.add.Tensor"; nothing where there is none that takes the same.
std::optional<Op> without_write(const Op& op) {
  const std::string name(op.text());
  const size_t end = name.rfind('.');
  if (end == 0 || end == std::string::npos || name[end - 1] != '_') return std::nullopt;
  const std::optional<Op> found = Op::try_find(name.substr(0, end - 1) + name.substr(end));
  if (!found || found->mutates()) return std::nullopt;
  return found->schema().arguments().size() == op.schema().arguments().size() ? found : std::nullopt;
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
    for (size_t i = 0; i + 1 < chain_.size(); ++i) written = around(*chain_[i], chain_[i + 1], written);
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
      const bool takes_part = part_taken_by(*chain_[i], is_of_constant_).has_value();
      if (!takes_part && !is_the_same_value(*chain_[i])) return false;
      is_part |= takes_part;
    }
    if (!is_copy_ && !is_part && !is_of_constant_) return false;
    return can_compute() && finds_readers(owner);
  }

  // What is written can be computed by itself.
  bool can_compute() const {
    const std::vector<Node*> inputs = write_->inputs();
    if (!std::all_of(inputs.begin(), inputs.end(), [](const Node* node) { return node->meta().has_value(); })) {
      return false;
    }
    if (is_copy_) return write_->arg("src").is_node();
    if (write_->is(Trait::kRandom) || !without_write(write_->op())) return false;
    if (!is_of_constant_) {
      const std::string_view name = write_->op().short_name();
      if (name == "fill_" || name == "zero_") return false;  // no compiler has them
    }
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
    if (!is_copy_) {
      Node* value = graph_.call(*without_write(write_->op()), write_->args());
      value->set_meta(*place->meta());
      copy_notes(*write_, *value);
      return value;
    }
    Node* source = write_->arg("src").node();
    if (source->meta()->dtype != place->meta()->dtype) {
      source = add_call("aten.to.dtype", {source, place->meta()->dtype}, source->sizes(), *write_);
      source->set_meta(TensorMeta{place->meta()->dtype, source->sizes()});
    }
    if (source->sizes() != place->sizes()) {
      source = add_call("aten.expand.default", {source, place->sizes()}, place->sizes(), *place);
    }
    return chain_.size() > 1 ? source : add_call("aten.clone.default", {source}, place->sizes(), *place);
  }

  // `whole` with `value` in the part of it that `view` shows.
  Node* around(const Node& view, Node* whole, Node* value) const {
    const std::optional<Part> part = part_taken_by(view, is_of_constant_);
    if (!part) return value;
    const auto at = static_cast<size_t>(part->dim);
    std::vector<int64_t> sizes = whole->sizes();
    const int64_t size = sizes.at(at);
    if (part->drops_dim) {
      sizes[at] = 1;
      value = add_call("aten.unsqueeze.default", {value, part->dim}, sizes, *whole);
    }
    std::vector<Arg> parts;
    const auto add_rest = [&](int64_t start, int64_t end) {
      if (start >= end) return;
      sizes[at] = end - start;
      parts.emplace_back(add_call("aten.slice.Tensor", {whole, part->dim, start, end}, sizes, *whole));
    };
    add_rest(0, part->start);
    if (part->length > 0) parts.emplace_back(value);
    add_rest(part->start + part->length, size);
    if (parts.size() == 1) return add_call("aten.clone.default", {parts.front()}, whole->sizes(), *whole);
    return add_call("aten.cat.default", {Arg(parts), part->dim}, whole->sizes(), *whole);
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

  Node* write_;
  Graph& graph_;
  std::vector<Node*> chain_;
  std::vector<Node*> read_behind_;
  std::unordered_map<const Node*, Node*> renewed_;
  bool is_copy_ = false;
  bool is_of_constant_ = false;
};

}  // namespace

bool replace_writes(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node& each) { return each.op().mutates(); })) {
    changed |= Write(node).replace();
  }
  return changed;
}

}  // namespace octet::targets
