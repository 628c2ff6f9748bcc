#include "octet/quantize/compare.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

constexpr int64_t kLongestSequence = 512;  // steps that are written out

enum class Recurrence { kLstm, kGru, kTanh, kRelu };

int64_t gates_of(Recurrence kind) { return kind == Recurrence::kLstm ? 4 : kind == Recurrence::kGru ? 3 : 1; }

struct RecurrentWeights {
  Arg of_input, of_hidden, input_bias, hidden_bias;
};

struct RecurrentState {
  Node* hidden = nullptr;
  Node* cell = nullptr;  // of an LSTM
};

// The formulas of torch.nn.LSTMCell, GRUCell and RNNCell on matrices [samples, features], at the place of `like`.
class RecurrentStep {
 public:
  RecurrentStep(Recurrence kind, const RecurrentWeights& weights, const Node& like)
      : kind_(kind), weights_(weights), like_(like) {}

  RecurrentState operator()(Node* x, const RecurrentState& state) const {
    const std::vector<int64_t>& sizes = state.hidden->sizes();
    Node* from_input = product(x, weights_.of_input, weights_.input_bias, sizes);
    Node* from_hidden = product(state.hidden, weights_.of_hidden, weights_.hidden_bias, sizes);
    if (kind_ == Recurrence::kGru) return {gru(from_input, from_hidden, state.hidden), nullptr};
    Node* sum = binary("aten.add.Tensor", from_input, from_hidden);
    if (kind_ == Recurrence::kTanh) return {unary("aten.tanh.default", sum), nullptr};
    if (kind_ == Recurrence::kRelu) return {unary("aten.relu.default", sum), nullptr};
    const auto gate = [&](int64_t i) { return part(sum, i, sizes); };
    Node* added =
        binary("aten.mul.Tensor", unary("aten.sigmoid.default", gate(0)), unary("aten.tanh.default", gate(2)));
    Node* kept = binary("aten.mul.Tensor", unary("aten.sigmoid.default", gate(1)), state.cell);
    Node* cell = binary("aten.add.Tensor", kept, added);
    Node* out = unary("aten.sigmoid.default", gate(3));
    return {binary("aten.mul.Tensor", out, unary("aten.tanh.default", cell)), cell};
  }

 private:
  // (1 - z) n + z h, with one product
  Node* gru(Node* from_input, Node* from_hidden, Node* hidden) const {
    const auto of = [&](Node* all, int64_t i) { return part(all, i, hidden->sizes()); };
    const auto gate = [&](int64_t i) {
      return unary("aten.sigmoid.default", binary("aten.add.Tensor", of(from_input, i), of(from_hidden, i)));
    };
    Node* reset = binary("aten.mul.Tensor", gate(0), of(from_hidden, 2));
    Node* fresh = unary("aten.tanh.default", binary("aten.add.Tensor", of(from_input, 2), reset));
    Node* kept = binary("aten.mul.Tensor", gate(1), binary("aten.sub.Tensor", hidden, fresh));
    return binary("aten.add.Tensor", fresh, kept);
  }

  Node* product(Node* x, const Arg& weight, const Arg& bias, std::vector<int64_t> sizes) const {
    sizes.back() *= gates_of(kind_);
    return add_call("aten.linear.default", {x, weight, bias}, sizes, like_);
  }
  Node* part(Node* all, int64_t index, const std::vector<int64_t>& sizes) const {
    const int64_t width = sizes.back();
    return add_call("aten.slice.Tensor", {all, int64_t{1}, index * width, (index + 1) * width}, sizes, like_);
  }
  Node* unary(const char* op, Node* x) const { return add_call(op, {x}, x->sizes(), like_); }
  Node* binary(const char* op, Node* a, Node* b) const { return add_call(op, {a, b}, a->sizes(), like_); }

  Recurrence kind_;
  const RecurrentWeights& weights_;
  const Node& like_;
};

bool is_float_of_rank(const Arg& arg, int64_t rank) {
  const Node* node = arg.node();
  return node != nullptr && node->meta() && at::isFloatingType(node->meta()->dtype) && node->meta()->rank() == rank;
}

bool is_read_by_element(const Node& node) {
  for (const Node* user : node.users()) {
    if (user->kind() != NodeKind::kGetItem) return false;
  }
  return true;
}

void replace_element(Node* item, Node* value) {
  if (value->is_call()) value->notes()[kFloatNameNote] = float_name(*item);
  replace_node(item, value);
}

bool decompose_cell(Node* cell, Recurrence kind) {
  const bool is_lstm = kind == Recurrence::kLstm;
  const Arg& hx = cell->arg("hx");
  std::vector<Arg> states = {hx};
  if (is_lstm) {
    if (!hx.is_list() || hx.list().size() != 2 || !is_read_by_element(*cell)) return false;
    states = hx.list();
  }
  for (const Arg& state : states) {
    if (!is_float_of_rank(state, 2)) return false;
  }
  if (!is_float_of_rank(cell->arg("input"), 2)) return false;
  const auto here = cell->graph().inserting_before(cell);
  const RecurrentWeights weights{cell->arg("w_ih"), cell->arg("w_hh"), cell->arg("b_ih"), cell->arg("b_hh")};
  const RecurrentState next = RecurrentStep(kind, weights, *cell)(
      cell->arg("input").node(), {states[0].node(), is_lstm ? states[1].node() : nullptr});
  if (!is_lstm) {
    replace_by_parts(cell, next.hidden);
    return true;
  }
  for (Node* item : cell->users()) replace_element(item, item->args()[1].to_int() == 0 ? next.hidden : next.cell);
  cell->graph().erase(cell);
  return true;
}

// A whole layer sequence, written out step by step.
class Unroller {
 public:
  Unroller(Node* layers, Recurrence kind) : node_(layers), kind_(kind) {}

  bool run() {
    if (!is_whole()) return false;
    const auto here = node_->graph().inserting_before(node_);
    const std::string where = node_->where();
    std::vector<Node*> steps;
    for (int64_t t = 0; t < length_; ++t) steps.push_back(step_of_input(t));
    for (int64_t layer = 0; layer < layers_; ++layer) steps = run_layer(layer, steps);
    std::vector<Node*> results = {joined(steps, time_dim_)};
    results.push_back(joined(last_hidden_, 0));
    if (kind_ == Recurrence::kLstm) results.push_back(joined(last_cell_, 0));
    for (Node* item : node_->users()) replace_element(item, results.at(static_cast<size_t>(item->args()[1].to_int())));
    node_->graph().erase(node_);
    for (Node* result : results) erase_unread(result);
    log::info("[", where, "] is written out, ", length_, " steps");
    return true;
  }

 private:
  // A result that nobody takes, and the spread steps that it was joined of.
  static void erase_unread(Node* result) {
    if (result->user_count() > 0) return;
    const std::vector<Node*> parts = result->inputs();
    const bool is_joined = result->is_call("aten.cat.default");
    result->graph().erase(result);
    for (Node* part : parts) {
      if (is_joined && part->user_count() == 0) part->graph().erase(part);
    }
  }

  bool is_whole() {
    const Arg& hx = node_->arg("hx");
    states_ = hx.is_list() ? hx.list() : std::vector<Arg>{hx};
    if (states_.size() != (kind_ == Recurrence::kLstm ? 2u : 1u) || !node_->arg("params").is_list()) return false;
    for (const Arg& state : states_) {
      if (!is_float_of_rank(state, 3)) return false;
    }
    if (!is_float_of_rank(node_->arg("input"), 3) || !is_read_by_element(*node_)) return false;
    layers_ = node_->arg("num_layers").to_int();
    if (layers_ > 1 && node_->arg("dropout").to_double() != 0.0 && node_->arg("train").to_bool()) return false;
    directions_ = node_->arg("bidirectional").to_bool() ? 2 : 1;
    has_biases_ = node_->arg("has_biases").to_bool();
    params_ = node_->arg("params").list();
    if (static_cast<int64_t>(params_.size()) != layers_ * directions_ * (has_biases_ ? 4 : 2)) return false;
    time_dim_ = node_->arg("batch_first").to_bool() ? 1 : 0;
    const std::vector<int64_t>& sizes = node_->arg("input").node()->sizes();
    length_ = sizes[static_cast<size_t>(time_dim_)];
    samples_ = sizes[static_cast<size_t>(1 - time_dim_)];
    if (length_ >= 1 && length_ <= kLongestSequence) return true;
    log::warn("[", node_->where(), "] ", length_, " steps are not written out, more than ", kLongestSequence);
    return false;
  }

  Node* step_of_input(int64_t t) {
    Node* x = node_->arg("input").node();
    std::vector<int64_t> sizes = x->sizes();
    sizes[static_cast<size_t>(time_dim_)] = 1;
    Node* slice = add_call("aten.slice.Tensor", {x, time_dim_, t, t + 1}, sizes, *node_);
    return add_reshape(slice, {samples_, sizes[2]}, 0, *node_);
  }

  Node* initial(const Arg& state, int64_t index) {
    std::vector<int64_t> sizes = state.node()->sizes();
    sizes[0] = 1;
    Node* slice = add_call("aten.slice.Tensor", {state, int64_t{0}, index, index + 1}, sizes, *node_);
    return add_reshape(slice, {sizes[1], sizes[2]}, 0, *node_);
  }

  // [samples, features] with a dimension of 1 in front, or in the place of time.
  Node* spread(Node* x, int64_t dim) {
    std::vector<int64_t> sizes = x->sizes();
    sizes.insert(sizes.begin() + dim, 1);
    return add_reshape(x, sizes, dim == 0 ? 1 : 0, *node_);
  }

  Node* joined(const std::vector<Node*>& parts, int64_t dim) {
    std::vector<Arg> spread_out;
    for (Node* part : parts) spread_out.emplace_back(spread(part, dim));
    std::vector<int64_t> sizes = spread_out.front().node()->sizes();
    if (parts.size() == 1) return spread_out.front().node();
    sizes[static_cast<size_t>(dim)] = static_cast<int64_t>(parts.size());
    return add_call("aten.cat.default", {Arg(std::move(spread_out)), dim}, sizes, *node_);
  }

  std::vector<Node*> run_layer(int64_t layer, const std::vector<Node*>& steps) {
    std::vector<std::vector<Node*>> found;  // of each direction, by time
    for (int64_t direction = 0; direction < directions_; ++direction) {
      const int64_t index = layer * directions_ + direction;
      const size_t first = static_cast<size_t>(index * (has_biases_ ? 4 : 2));
      const RecurrentWeights weights{params_[first], params_[first + 1], has_biases_ ? params_[first + 2] : Arg(),
                                     has_biases_ ? params_[first + 3] : Arg()};
      const RecurrentStep step(kind_, weights, *node_);
      RecurrentState state{initial(states_[0], index),
                           kind_ == Recurrence::kLstm ? initial(states_[1], index) : nullptr};
      found.emplace_back(steps.size());
      for (size_t i = 0; i < steps.size(); ++i) {
        const size_t t = direction == 0 ? i : steps.size() - 1 - i;
        state = step(steps[t], state);
        found.back()[t] = state.hidden;
      }
      last_hidden_.push_back(state.hidden);
      if (state.cell != nullptr) last_cell_.push_back(state.cell);
    }
    if (directions_ == 1) return found[0];
    std::vector<Node*> both;
    for (size_t t = 0; t < steps.size(); ++t) {
      std::vector<int64_t> sizes = found[0][t]->sizes();
      sizes[1] *= 2;
      const std::vector<Arg> parts = {found[0][t], found[1][t]};
      both.push_back(add_call("aten.cat.default", {Arg(parts), int64_t{1}}, sizes, *node_));
    }
    return both;
  }

  Node* node_;
  Recurrence kind_;
  std::vector<Arg> states_, params_;
  int64_t layers_ = 0, directions_ = 0, length_ = 0, samples_ = 0, time_dim_ = 0;
  bool has_biases_ = false;
  std::vector<Node*> last_hidden_, last_cell_;
};

struct RecurrenceRow {
  OpName name;
  Recurrence kind;
};
using Kinds = std::vector<RecurrenceRow>;

bool rewrite_recurrences(GraphModule& module, const Kinds& kinds,
                         const std::function<bool(Node* node, Recurrence kind)>& rewrite) {
  bool changed = false;
  for (const auto& [name, kind] : kinds) {
    for (Node* node : calls_where(module.graph(), [&](const Node& call) { return call.is_call(name); })) {
      changed |= rewrite(node, kind);
    }
  }
  return changed;
}

}  // namespace

bool decompose_recurrent_cells(GraphModule& module) {
  static const Kinds kinds = {{"aten.lstm_cell.default", Recurrence::kLstm},
                              {"aten.gru_cell.default", Recurrence::kGru},
                              {"aten.rnn_tanh_cell.default", Recurrence::kTanh},
                              {"aten.rnn_relu_cell.default", Recurrence::kRelu}};
  return rewrite_recurrences(module, kinds, decompose_cell);
}

bool unroll_recurrent_layers(GraphModule& module) {
  static const Kinds kinds = {{"aten.lstm.input", Recurrence::kLstm},
                              {"aten.gru.input", Recurrence::kGru},
                              {"aten.rnn_tanh.input", Recurrence::kTanh},
                              {"aten.rnn_relu.input", Recurrence::kRelu}};
  return rewrite_recurrences(module, kinds, [](Node* node, Recurrence kind) { return Unroller(node, kind).run(); });
}

}  // namespace octet::targets
