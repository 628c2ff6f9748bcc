// Layers that carry a state along a sequence, in float: written out for the length that they have.

#include <array>

#include "octet/lowering/operators/operators.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;

namespace {

using Sizes = std::vector<int64_t>;

constexpr int64_t kMostSteps = 4096;  // of all layers and directions together

struct State {
  ValueId hidden = kNoValue;
  ValueId cell = kNoValue;  // of an LSTM
};

// Values of [samples, features], the operators of one time step after another.
class Layers {
 public:
  explicit Layers(OperatorLowering& op) : op_(op), kind_(op.node().op().short_name()) {}

  void lower() {
    const Node& node = op_.node();
    const bool is_lstm = kind_ == "lstm";
    const Arg& hx = node.arg("hx");
    const std::vector<Arg> states = hx.is_list() ? hx.list() : std::vector<Arg>{hx};
    if (states.size() != (is_lstm ? 2u : 1u) || !node.arg("params").is_list()) op_.refuse("states of this form");
    if (op_.sizes("input").size() != 3) op_.refuse("a sequence without a batch", "give it a batch dimension");
    params_ = node.arg("params").list();
    const bool batch_first = op_.flag("batch_first"), has_biases = op_.flag("has_biases");
    const int64_t count = op_.integer("num_layers", 1), directions = op_.flag("bidirectional") ? 2 : 1;
    const size_t each = has_biases ? 4 : 2;
    if (params_.size() != static_cast<size_t>(count * directions) * each) op_.refuse("an LSTM with projections");
    time_dim_ = batch_first ? 1 : 0;
    const Sizes in = op_.sizes("input");
    length_ = in[static_cast<size_t>(time_dim_)];
    samples_ = in[static_cast<size_t>(1 - time_dim_)];
    width_ = states[0].node()->sizes().back();
    if (length_ < 1 || length_ * count * directions > kMostSteps) {
      op_.refuse(octet::str(length_, " steps of ", count * directions, " layers and directions"),
                 octet::str("at most ", kMostSteps, " in all: export a shorter sequence"));
    }
    std::vector<State> first;
    for (int64_t i = 0; i < count * directions; ++i) {
      first.push_back(
          {initial("hidden", *states[0].node(), i), is_lstm ? initial("cell", *states[1].node(), i) : kNoValue});
    }
    ValueId sequence = op_.input("input", false);
    std::vector<State> last;
    for (int64_t layer = 0; layer < count; ++layer) {
      std::vector<std::vector<ValueId>> found;
      for (int64_t direction = 0; direction < directions; ++direction) {
        const auto index = static_cast<size_t>(layer * directions + direction);
        prefix_ = octet::str(layer, direction == 0 ? "" : "_back");
        weights_ = index * each;
        has_biases_ = has_biases;
        found.push_back(run(sequence, first[index], direction == 1));
        last.push_back(end_);
      }
      sequence = joined(found);
    }
    give(sequence, last);
  }

 private:
  std::string named(const std::string& name) const { return octet::str("layer_", prefix_, "_", name); }

  ValueId part(const std::string& name, ValueId whole, int64_t dim, int64_t start, int64_t length) {
    Sizes shape = op_.shape_of(whole), begin(shape.size(), 0);
    if (shape[static_cast<size_t>(dim)] == length) return whole;
    shape[static_cast<size_t>(dim)] = length;
    begin[static_cast<size_t>(dim)] = start;
    return op_.step(name, OpCode::kSlice,
                    {whole, op_.indices(name + "_begin", begin), op_.indices(name + "_size", shape)}, shape);
  }

  ValueId initial(const std::string& name, const Node& state, int64_t index) {
    const std::string own = octet::str("first_", name, "_", index);
    return op_.reshaped(own + "_matrix", part(own, op_.input(state, false), 0, index, 1), {samples_, width_});
  }

  at::Tensor parameter(size_t index) const {
    const Node* node = params_.at(index).node();
    const std::optional<Constant> value = node == nullptr ? std::nullopt : op_.constant(*node);
    if (!value) op_.refuse("a weight that is no constant");
    return dequantized(*value);
  }

  // The weight and the bias of the input, or of the hidden state.
  std::array<ValueId, 2> product_of(const std::string& name, size_t which) {
    const at::Tensor weight = parameter(weights_ + which);
    const at::Tensor bias = has_biases_ ? parameter(weights_ + 2 + which) : at::zeros({weight.size(0)}, at::kFloat);
    return {op_.plain_constant(named(name + "_weight"), weight), op_.plain_constant(named(name + "_bias"), bias)};
  }

  // What each time step gives, by time. Products of the input are one for all.
  std::vector<ValueId> run(ValueId sequence, State state, bool backwards) {
    const auto of_input = product_of("input", 0), of_hidden = product_of("hidden", 1);
    const int64_t gates = op_.shape_of(of_input[0])[0];
    Sizes all = op_.shape_of(sequence);
    all.back() = gates;
    Options keep;
    keep.keep_num_dims = true;
    const ValueId products =
        op_.step(named("products"), OpCode::kFullyConnected, {sequence, of_input[0], of_input[1]}, all, keep);
    std::vector<ValueId> results(static_cast<size_t>(length_));
    for (int64_t i = 0; i < length_; ++i) {
      const int64_t time = backwards ? length_ - 1 - i : i;
      step_ = octet::str(named("at_"), time, "_");
      const ValueId here =
          op_.reshaped(step_ + "matrix", part(step_ + "input", products, time_dim_, time, 1), {samples_, gates});
      const ValueId carried = op_.step(step_ + "carried", OpCode::kFullyConnected,
                                       {state.hidden, of_hidden[0], of_hidden[1]}, {samples_, gates});
      state = next(here, carried, state);
      results[static_cast<size_t>(time)] = state.hidden;
    }
    end_ = state;
    return results;
  }

  ValueId one(const std::string& name, OpCode code, ValueId x) {
    return op_.step(step_ + name, code, {x}, op_.shape_of(x));
  }
  ValueId two(const std::string& name, OpCode code, ValueId a, ValueId b) {
    return op_.step(step_ + name, code, {a, b}, op_.shape_of(a));
  }
  ValueId gate_of(const std::string& name, ValueId all, int64_t index) {
    return part(step_ + name, all, 1, index * width_, width_);
  }

  State next(ValueId here, ValueId carried, const State& state) {
    if (kind_ == "gru") return {gru(here, carried, state.hidden), kNoValue};
    const ValueId sum = two("sum", OpCode::kAdd, here, carried);
    if (kind_ == "rnn_tanh") return {one("hidden", OpCode::kTanh, sum), kNoValue};
    if (kind_ == "rnn_relu") return {one("hidden", OpCode::kRelu, sum), kNoValue};
    const ValueId in = one("in", OpCode::kLogistic, gate_of("in_sum", sum, 0));
    const ValueId forget = one("forget", OpCode::kLogistic, gate_of("forget_sum", sum, 1));
    const ValueId fresh = one("fresh", OpCode::kTanh, gate_of("fresh_sum", sum, 2));
    const ValueId out = one("out", OpCode::kLogistic, gate_of("out_sum", sum, 3));
    const ValueId kept = two("kept", OpCode::kMul, forget, state.cell);
    const ValueId cell = two("cell", OpCode::kAdd, kept, two("added", OpCode::kMul, in, fresh));
    return {two("hidden", OpCode::kMul, out, one("cell_tanh", OpCode::kTanh, cell)), cell};
  }

  // (h - n) z + n
  ValueId gru(ValueId here, ValueId carried, ValueId hidden) {
    const auto gate = [&](const std::string& name, int64_t index) {
      const ValueId a = gate_of(name + "_input", here, index), b = gate_of(name + "_carried", carried, index);
      return one(name, OpCode::kLogistic, two(name + "_sum", OpCode::kAdd, a, b));
    };
    const ValueId reset = gate("reset", 0), update = gate("update", 1);
    const ValueId seen = two("seen", OpCode::kMul, reset, gate_of("fresh_carried", carried, 2));
    const ValueId fresh =
        one("fresh", OpCode::kTanh, two("fresh_sum", OpCode::kAdd, gate_of("fresh_input", here, 2), seen));
    const ValueId kept = two("kept", OpCode::kMul, two("change", OpCode::kSub, hidden, fresh), update);
    return two("hidden", OpCode::kAdd, kept, fresh);
  }

  ValueId concatenated(const std::string& name, const std::vector<ValueId>& parts, int64_t axis) {
    if (parts.size() == 1) return parts.front();
    Sizes shape = op_.shape_of(parts.front());
    shape[static_cast<size_t>(axis)] *= static_cast<int64_t>(parts.size());
    Options options;
    options.axis = static_cast<int32_t>(axis);
    return op_.step(name, OpCode::kConcatenation, parts, shape, options);
  }

  // Matrices [samples, width] side by side along a new dimension.
  ValueId stacked(const std::string& name, const std::vector<ValueId>& parts, int64_t dim) {
    std::vector<ValueId> wide;
    for (size_t i = 0; i < parts.size(); ++i) {
      Sizes shape = op_.shape_of(parts[i]);
      shape.insert(shape.begin() + dim, 1);
      wide.push_back(op_.reshaped(octet::str(name, "_part_", i), parts[i], shape));
    }
    return concatenated(name, wide, dim);
  }

  // A layer's results over time, both directions' features behind each other.
  ValueId joined(const std::vector<std::vector<ValueId>>& directions) {
    std::vector<ValueId> sequences;
    for (size_t d = 0; d < directions.size(); ++d) {
      sequences.push_back(stacked(named(octet::str("sequence_", d)), directions[d], time_dim_));
    }
    return concatenated(named("sequence"), sequences, 2);
  }

  void give(ValueId sequence, const std::vector<State>& last) {
    std::vector<ValueId> hidden, cell;
    for (const State& state : last) {
      hidden.push_back(state.hidden);
      cell.push_back(state.cell);
    }
    for (const Node* element : op_.node().users()) {
      const int64_t index = element->arg(size_t{1}).to_int();
      op_.set_element(*element, index == 0   ? sequence
                                : index == 1 ? stacked("last_hidden", hidden, 0)
                                             : stacked("last_cell", cell, 0));
    }
  }

  OperatorLowering& op_;
  std::string kind_, prefix_, step_;
  std::vector<Arg> params_;
  size_t weights_ = 0;
  bool has_biases_ = false;
  int64_t time_dim_ = 0, length_ = 0, samples_ = 0, width_ = 0;
  State end_;
};

}  // namespace

void lower_recurrent(OperatorLowering& op) { Layers(op).lower(); }

}  // namespace octet::lowering
