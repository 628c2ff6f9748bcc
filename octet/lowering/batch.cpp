#include "octet/lowering/batch.h"

#include <ATen/core/grad_mode.h>

#include "octet/graph/state_guard.h"
#include "octet/lowering/rule.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using Sizes = std::vector<int64_t>;

int64_t product(const Sizes& sizes, size_t end) {
  int64_t result = 1;
  for (size_t i = 0; i < end; ++i) result *= sizes[i];
  return result;
}

// Operators that work on each sample alone, provided that their named dimensions leave dimension 0 out.
bool keeps_samples_apart(const Node& node, const Followers& followers) {
  if (!node.is_call()) return true;
  const lowering::OperatorRow* row = lowering::find_operator(node);
  return row != nullptr && row->samples != nullptr && row->samples(node, followers);
}

// Which dimension of a view's result takes the batch, when it sits in its input behind `before` elements and the
// example batch is `batch`. `literal` is what the program says, `out` what it means at the example batch.
std::optional<size_t> dimension_of_batch(int64_t before, int64_t batch, const Sizes& literal, const Sizes& out) {
  const auto spans = [&](size_t i) {
    const int64_t start = product(out, i);
    return start <= before && before <= start * out[i] && start > 0 && before % start == 0;
  };
  for (size_t i = 0; i < out.size(); ++i) {
    if (product(out, i) == before && out[i] == batch) return i;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (i < literal.size() && literal[i] == -1 && spans(i)) return i;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (spans(i) && (before > 1 || out[i] % batch == 0)) return i;
  }
  return std::nullopt;
}

class Flexer {
 public:
  explicit Flexer(GraphModule& module) : module_(module), graph_(module.graph()) {}

  void run() {
    const std::vector<Node*> placeholders = graph_.placeholders();
    for (Node* node : placeholders) {
      if (!node->meta()) throw Error(node->where(), "the input's shape is not known");
      if (first_ == nullptr && node->meta()->rank() > 0) first_ = node;
    }
    if (first_ == nullptr) return;
    batch_ = first_->sizes()[0];
    if (batch_ < 1) throw Error(first_->where(), "the example batch is empty");
    if (lacks_shapes()) propagate_shapes(module_);
    mark_followers();
    bool simple = true;
    for (Node* node : graph_.nodes()) {
      if (node->is_call("aten._assert_tensor_metadata.default")) {  // the exporter's own check of the example's shape
        node->set_arg("size", Arg());
        node->set_arg("stride", Arg());
      }
      if (node->is(Trait::kView) && follows_.count(node)) unbake_view(node, 1);
      simple = simple && (!follows_.count(node) || keeps_samples_apart(*node, follows_));
    }
    if (!simple) prove();
  }

 private:
  bool lacks_shapes() const {
    for (const Node* node : graph_.nodes()) {
      if ((node->is_call() || node->is_get_attr()) && !node->meta() && node->element_metas().empty()) return true;
    }
    return false;
  }

  void mark_followers() {
    for (const Node* node : graph_.nodes()) {
      const bool input =
          node->kind() == NodeKind::kPlaceholder && node->meta()->rank() > 0 && node->meta()->sizes[0] == batch_;
      const auto inputs = node->inputs();
      if (input ||
          std::any_of(inputs.begin(), inputs.end(), [&](const Node* each) { return follows_.count(each) > 0; })) {
        follows_.insert(node);
      }
    }
  }

  // Writes -1 where the batch is, and numbers elsewhere. True where that changed the node.
  bool unbake_view(Node* node, int64_t before) {
    Arg sizes = node->arg(1);
    if (sizes.is_list() || !node->meta()) return false;  // computed sizes follow by themselves
    const Sizes literal = sizes.to_ints();
    Sizes out = node->meta()->sizes;
    if (literal.size() != out.size()) return false;
    const auto at = dimension_of_batch(before, batch_, literal, out);
    if (!at || literal[*at] == -1) return false;
    out[*at] = -1;
    node->set_arg(1, Arg(out));
    return true;
  }

  // One run at the other batch. Fills shapes_; returns the node that failed, or nullptr.
  Node* try_run(std::string* reason) {
    shapes_.clear();
    const at::NoGradGuard no_grad;
    const StateGuard guard(module_.buffers());
    std::vector<at::Tensor> inputs;
    for (const Node* node : graph_.placeholders()) {
      Sizes sizes = node->sizes();
      if (!sizes.empty() && sizes[0] == batch_) sizes[0] = other();
      inputs.push_back(at::zeros(sizes, at::TensorOptions(node->meta()->dtype)));
    }
    const std::vector<Node*> order = graph_.nodes();
    size_t done = 0;
    try {
      module_.run_observed(inputs, [&](const Node& node, const c10::IValue& value) {
        if (value.isTensor() && value.toTensor().defined()) shapes_[&node] = value.toTensor().sizes().vec();
        ++done;
        if (node.is(Trait::kView) && !view_follows(node)) throw Stop{};
      });
    } catch (const Stop&) {
      *reason = "dimension 0 does not follow the batch through these sizes";
      return order[done - 1];
    } catch (const Error& error) {
      const std::string message = error.what();
      const size_t place = error.where().empty() ? 0 : error.where().size() + 3;  // "[where] "
      *reason = message.substr(std::min(place, message.size()));
      return order.at(std::min(done, order.size() - 1));
    }
    return nullptr;
  }

  struct Stop {};
  int64_t other() const { return 2 * batch_; }

  // Where the batch sits in a value, and how many elements stand before it.
  std::optional<int64_t> elements_before_batch(const Node* node) const {
    const auto found = shapes_.find(node);
    if (found == shapes_.end() || !node->meta() || node->meta()->sizes.size() != found->second.size())
      return std::nullopt;
    const Sizes& sizes = node->meta()->sizes;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] != found->second[i]) return product(sizes, i);
    }
    return std::nullopt;
  }

  // True where a view that ran has put the batch where the rule wants it.
  bool view_follows(const Node& node) const {
    const auto before = elements_before_batch(node.arg(0).node());
    if (!before || !node.meta() || node.arg(1).is_list()) return true;
    const auto at = dimension_of_batch(*before, batch_, node.arg(1).to_ints(), node.meta()->sizes);
    if (!at) return false;
    Sizes wanted = node.meta()->sizes;
    wanted[*at] = wanted[*at] / batch_ * other();
    return shapes_.at(&node) == wanted;
  }

  // Not linear: each attempt repairs one place and is a run of the whole program, since only a run tells the next.
  void prove() {
    const size_t limit = 4 + 2 * graph_.size();
    std::string reason;
    for (size_t attempt = 0; attempt < limit; ++attempt) {
      Node* failed = try_run(&reason);
      if (failed == nullptr) return check_results();
      if (failed->is(Trait::kView)) {
        const auto before = elements_before_batch(failed->arg(0).node());
        if (before && unbake_view(failed, *before)) continue;
      }
      if (!follow_expand(failed) && !repair_source(failed)) throw refused(failed, reason);
    }
    throw refused(graph_.output(), "no set of sizes was found");
  }

  Error refused(const Node* node, const std::string& reason) const {
    return Error(node->where(), str("runs at batch ", batch_, ", with which the model was exported, and not at ",
                                    other(), ": ", reason))
        .hint("export the model with a dynamic batch dimension, or stay at this batch");
  }

  // expand(x, [1, 8, 64]) of a value that carries the batch itself keeps that dimension.
  bool follow_expand(Node* node) {
    if (!node->is_call("aten.expand.default") || node->arg(1).is_list()) return false;
    const Node* input = node->arg(0).node();
    const auto shape = shapes_.find(input);
    if (shape == shapes_.end() || !input->meta()) return false;
    Sizes sizes = node->arg(1).to_ints();
    const Sizes& was = input->meta()->sizes;
    bool changed = false;
    for (size_t i = 0; i < was.size() && was.size() == shape->second.size(); ++i) {
      int64_t& size = sizes[sizes.size() - was.size() + i];
      if (was[i] == shape->second[i] || size == -1) continue;
      size = -1;
      changed = true;
    }
    if (changed) node->set_arg(1, Arg(sizes));
    return changed;
  }

  // A failing node may read something that was made at the example batch: zeros([2, 1, 20]), cls.expand(1, -1, -1), a
  // stored state. The first such size that gets the program further is the batch.
  bool repair_source(Node* failed) {
    std::vector<Node*> sources;
    collect_sources(failed, sources);
    for (Node* source : sources) {
      Node* target = source->is_get_attr() ? expanded(source) : source;
      if (target == nullptr) continue;
      const size_t slot = sizes_slot(*target);
      const Arg original = target->arg(slot);
      const Sizes literal = original.to_ints();
      const Sizes shape = source->meta() ? source->meta()->sizes : literal;
      for (size_t i = 0; i < literal.size(); ++i) {
        const bool multiplier = target->is_call("aten.repeat.default");
        if (multiplier ? literal[i] != batch_ || (shape.size() == literal.size() && shape[i] != batch_)
                       : literal[i] != batch_) {
          continue;
        }
        std::vector<Arg> sizes(literal.begin(), literal.end());
        sizes[i] = Arg(batch_node());
        target->set_arg(slot, Arg(sizes));
        std::string ignored;
        Node* now = try_run(&ignored);
        if (now == nullptr || graph_.before(failed, now)) return true;
        target->set_arg(slot, original);
      }
      if (target != source) {
        target->replace_all_uses_with(source);
        graph_.erase(target);
      }
    }
    std::string ignored;
    try_run(&ignored);  // shapes as they were
    return false;
  }

  static size_t sizes_slot(const Node& node) {
    for (const char* name : {"size", "repeats"}) {
      const int index = node.op().argument_index(name);
      if (index >= 0) return static_cast<size_t>(index);
    }
    return SIZE_MAX;
  }

  // What a value is made from and does not carry the batch, nearest first.
  void collect_sources(Node* node, std::vector<Node*>& sources) {
    std::unordered_set<const Node*> seen;
    std::vector<Node*> open;
    const auto open_inputs = [&](const Node* reader) {
      const std::vector<Node*> inputs = reader->inputs();
      open.insert(open.end(), inputs.rbegin(), inputs.rend());
    };
    open_inputs(node);
    while (!open.empty()) {
      Node* input = open.back();
      open.pop_back();
      if (!seen.insert(input).second || elements_before_batch(input)) continue;
      const bool sized = input->is_call() && sizes_slot(*input) != SIZE_MAX && !input->is(Trait::kView) &&
                         input->arg(sizes_slot(*input)).is_constant() && !input->arg(sizes_slot(*input)).is_none();
      const bool state = input->is_get_attr() && batch_ == 1 &&
                         module_.attr_kind(input->target()) != AttrKind::kParameter && input->meta();
      if (sized || state) sources.push_back(input);
      open_inputs(input);
    }
  }

  Node* expanded(Node* attr) {
    const Sizes sizes = attr->sizes();
    if (std::find(sizes.begin(), sizes.end(), batch_) == sizes.end()) return nullptr;
    Node* reader = attr->users().front();
    if (graph_.before(reader, batch_node())) return nullptr;
    const auto before = graph_.inserting_before(reader);
    Node* made = graph_.call("aten.expand.default", {attr, sizes});
    attr->replace_all_uses_with(made);
    made->set_meta(attr->meta());
    return made;
  }

  // The size of dimension 0 of the first input, as a value of the program.
  Node* batch_node() {
    if (batch_node_ == nullptr) {
      const auto after = graph_.inserting_after(first_);
      batch_node_ = graph_.call("aten.sym_size.int", {first_, 0}, {}, "batch");
    }
    return batch_node_;
  }

  // Results that had the batch in front have it there still.
  void check_results() const {
    for (const Arg& result : graph_.output()->args()[0].list()) {
      const Node* node = result.node();
      if (node == nullptr || !node->meta() || node->meta()->rank() == 0 || node->meta()->sizes[0] != batch_) continue;
      if (!follows_.count(node)) continue;
      const auto now = shapes_.find(node);
      if (now != shapes_.end() && !now->second.empty() && now->second[0] == other()) continue;
      throw refused(lost_batch(node), "dimension 0 does not follow the batch to the result '" + node->name() + "'");
    }
  }

  // The last node on the way to `result` that reads the batch and does not give it on.
  const Node* lost_batch(const Node* result) const {
    std::unordered_set<const Node*> needed = {result};
    const std::vector<Node*> all = graph_.nodes();
    for (auto it = all.rbegin(); it != all.rend(); ++it) {
      if (!needed.count(*it)) continue;
      const auto inputs = (*it)->inputs();
      const bool reads = std::any_of(inputs.begin(), inputs.end(),
                                     [&](const Node* each) { return elements_before_batch(each).has_value(); });
      if (reads) return *it;
      needed.insert(inputs.begin(), inputs.end());
    }
    return result;
  }

  GraphModule& module_;
  Graph& graph_;
  Node* first_ = nullptr;
  Node* batch_node_ = nullptr;
  int64_t batch_ = 1;
  Followers follows_;                              // values that depend on an input that carries the batch
  std::unordered_map<const Node*, Sizes> shapes_;  // at the other batch
};

// `arg` with a number in the place of `size`.
Arg with_number(const Arg& arg, const Node* size, int64_t number) {
  if (arg.node() == size) return Arg(number);
  if (!arg.is_list()) return arg;
  std::vector<Arg> list;
  for (const Arg& element : arg.list()) list.push_back(with_number(element, size, number));
  const bool is_settled = std::all_of(
      list.begin(), list.end(), [](const Arg& element) { return element.is_constant() && element.constant().isInt(); });
  const Arg settled(std::move(list));
  return is_settled ? Arg(settled.to_ints()) : settled;
}

}  // namespace

void make_batch_flexible(GraphModule& module) { Flexer(module).run(); }

void settle_sizes(GraphModule& module) {
  for (Node* size : module.graph().nodes()) {
    if (!size->is_call("aten.sym_size.int") || !size->arg("dim").is_constant()) continue;
    const Node* value = size->arg("self").node();
    if (value == nullptr || !value->meta()) continue;
    const int64_t dim = size->arg("dim").to_int();
    const int64_t number = value->sizes().at(static_cast<size_t>(dim < 0 ? dim + value->meta()->rank() : dim));
    for (Node* user : size->users()) {
      for (size_t i = 0; i < user->args().size(); ++i) user->set_arg(i, with_number(user->arg(i), size, number));
    }
    if (size->user_count() == 0) module.graph().erase(size);
  }
}

namespace lowering::samples {

bool apart(const Node&, const Followers&) { return true; }

bool broadcast(const Node& node, const Followers& followers) {
  // A constant of the example batch's size would not broadcast at another.
  const auto inputs = node.inputs();
  return node.meta() && std::all_of(inputs.begin(), inputs.end(), [&](const Node* input) {
           return followers.count(input) > 0 ||
                  (input->meta() && (input->meta()->rank() < node.meta()->rank() || input->meta()->rank() == 0 ||
                                     input->meta()->sizes[0] == 1));
         });
}

namespace {

bool is_positive(const Arg& dim) { return dim.is_constant() && !dim.is_none() && dim.to_int() > 0; }

}  // namespace

bool along_dim(const Node& node, const Followers&) { return is_positive(node.arg("dim")); }

bool joined(const Node& node, const Followers& followers) {
  const auto inputs = node.inputs();
  return along_dim(node, followers) &&
         std::all_of(inputs.begin(), inputs.end(), [&](const Node* input) { return followers.count(input) > 0; });
}

bool from_dim(const Node& node, const Followers&) { return is_positive(node.arg("start_dim")); }

bool over_dims(const Node& node, const Followers&) {
  if (!node.has_arg("dim") || node.arg("dim").is_none()) return false;
  const std::vector<int64_t> dims = node.arg("dim").to_ints();
  const int64_t rank = node.inputs()[0]->meta() ? node.inputs()[0]->meta()->rank() : 0;
  return rank > 0 && !dims.empty() &&
         std::all_of(dims.begin(), dims.end(), [&](int64_t dim) { return (dim < 0 ? dim + rank : dim) > 0; });
}

}  // namespace lowering::samples

}  // namespace octet
