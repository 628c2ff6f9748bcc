#include <ATen/Functions.h>

#include <algorithm>

#include "octet/formats/dtype.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {
namespace {

using Sizes = std::vector<int64_t>;

/// What GRU, LSTM and RNN have in common: X [T, N, I], W [D, G H, I], R [D, G H, H], B [D, 2 G H], states [D, N, H].
struct Layer {
  int64_t directions = 1;
  int64_t hidden = 0;
  bool turned = false;         // from the last step to the first
  std::vector<Value> weights;  // as ATen takes them: W, R and both halves of B, a direction after the other
  bool has_biases = false;
};

// `order[i]`: where ONNX keeps ATen's gate i.
at::Tensor in_order(const at::Tensor& gates, const std::vector<int64_t>& order) {
  const std::vector<at::Tensor> parts = gates.chunk(static_cast<int64_t>(order.size()), 0);
  std::vector<at::Tensor> turned;
  for (const int64_t gate : order) turned.push_back(parts.at(static_cast<size_t>(gate)));
  return at::cat(turned, 0);
}

void check_shape(const Step& step, const char* what, const Sizes& got, const Sizes& wanted) {
  if (got != wanted) step.refuse(what, sizes_text(wanted), sizes_text(got));
}

Layer read_layer(const Step& step, const std::vector<int64_t>& order) {
  Layer layer;
  const std::string direction = step.text("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    step.refuse("direction", "forward, reverse or bidirectional", direction);
  layer.directions = direction == "bidirectional" ? 2 : 1;
  layer.turned = direction == "reverse";
  if (step.integer("layout", 0) != 0) step.refuse("layout", "0: steps first", "1", "turn the input by Transpose");
  if (step.has_attribute("clip")) step.refuse("clip", "none", "one", "leave it out");
  const Sizes x = step.sizes(0);
  if (x.size() != 3) step.refuse("input", "three dimensions", sizes_text(x));
  if (step.has(4)) {
    const at::Tensor lengths = step.known(4, "sequence_lens");
    if (!lengths.eq(x[0]).all().item<bool>())
      step.refuse("sequence_lens", str(x[0], " for every sample: all steps"), "others", "cut or pad the sequences");
  }
  const Sizes recurrent = step.sizes(2);
  if (recurrent.size() != 3) step.refuse("R", "three dimensions", sizes_text(recurrent));
  layer.hidden = recurrent[2];
  if (step.integer("hidden_size", layer.hidden) != layer.hidden)
    step.refuse("hidden_size", str(layer.hidden, ", as R has it"), str(step.integer("hidden_size", 0)));
  const int64_t gates = static_cast<int64_t>(order.size()) * layer.hidden;
  check_shape(step, "W", step.sizes(1), {layer.directions, gates, x[2]});
  check_shape(step, "R", recurrent, {layer.directions, gates, layer.hidden});
  layer.has_biases = step.has(3);
  if (layer.has_biases) check_shape(step, "B", step.sizes(3), {layer.directions, 2 * gates});
  for (int64_t i = 0; i < layer.directions; ++i) {
    const auto add = [&](size_t input, const char* what, const at::Tensor& tensor) {
      Value made = step.derived(step.in(input), in_order(tensor, order));
      made.name += str("_", what, i == 0 ? "" : "_reverse");
      layer.weights.push_back(made);
    };
    add(1, "ih", step.known(1, "W")[i]);
    add(2, "hh", step.known(2, "R")[i]);
    if (!layer.has_biases) continue;
    const at::Tensor both = step.known(3, "B")[i];
    add(3, "ih", both.slice(0, 0, gates));
    add(3, "hh", both.slice(0, gates, 2 * gates));
  }
  return layer;
}

void check_activations(const Step& step, const std::vector<std::string>& usual) {
  if (!step.has_attribute("activations")) return;
  std::vector<std::string> given = step.texts("activations");
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i] != usual[i % usual.size()])
      step.refuse("activations", octet::str(join(", ", usual), ", which is what ATen has"), given[i]);
  }
}

Value state(Step& step, const Layer& layer, size_t input) {
  const Sizes sizes = {layer.directions, step.sizes(0)[1], layer.hidden};
  if (!step.has(input)) return step.constant(at::zeros(sizes, at::TensorOptions(step.dtype(0))), "initial_state");
  check_shape(step, "initial state", step.sizes(input), sizes);
  return step.in(input);
}

Value in_time(Step& step, const Layer& layer, const Value& value) {
  return layer.turned ? step.call("aten.flip.default", {value, Sizes{0}}) : value;
}

// [T, N, D H] as ONNX has it: [T, D, N, H].
Value by_direction(Step& step, const Layer& layer, const Value& result) {
  const Value turned = in_time(step, layer, result);
  if (layer.directions == 1) return step.call("aten.unsqueeze.default", {turned, 1});
  const Sizes sizes = step.sizes(turned);
  const Value split = step.call("aten.reshape.default", {turned, Sizes{sizes[0], sizes[1], 2, layer.hidden}});
  return step.call("aten.permute.default", {split, Sizes{0, 2, 1, 3}});
}

std::vector<Value> recur(Step& step, const Layer& layer, const char* op, const Operand& states) {
  return step.call_several(op, {in_time(step, layer, step.in(0)), states, layer.weights, layer.has_biases, 1, 0.0,
                                false, layer.directions == 2, false});
}

void give_all(Step& step, const Layer& layer, const std::vector<Value>& results) {
  if (step.wants(0)) step.give(0, by_direction(step, layer, results.at(0)));
  for (size_t i = 1; i < results.size(); ++i) {
    if (step.wants(i)) step.give(i, results[i]);
  }
}

}  // namespace

void build_gru(Step& step) {
  if (step.integer("linear_before_reset", 0) == 0) {
    step.refuse("linear_before_reset", "1, as torch.nn.GRU computes", "0",
                "train the network with torch's GRU, or Keras's reset_after=True");
  }
  check_activations(step, {"Sigmoid", "Tanh"});
  const Layer layer = read_layer(step, {1, 0, 2});  // z r h, and torch has r z n
  give_all(step, layer, recur(step, layer, "aten.gru.input", state(step, layer, 5)));
}

void build_lstm(Step& step) {
  if (step.has(7)) step.refuse("peepholes (input 7)", "none", "some", "train the network without");
  if (step.integer("input_forget", 0) != 0) step.refuse("input_forget", "0", "1");
  check_activations(step, {"Sigmoid", "Tanh", "Tanh"});
  const Layer layer = read_layer(step, {0, 2, 3, 1});  // i o f c, and torch has i f g o
  const std::vector<Value> states = {state(step, layer, 5), state(step, layer, 6)};
  give_all(step, layer, recur(step, layer, "aten.lstm.input", states));
}

void build_rnn(Step& step) {
  const std::vector<std::string> given =
      step.has_attribute("activations") ? step.texts("activations") : std::vector<std::string>{"Tanh"};
  const bool relu = !given.empty() && given[0] == "Relu";
  check_activations(step, {relu ? "Relu" : "Tanh"});
  const Layer layer = read_layer(step, {0});
  give_all(step, layer,
           recur(step, layer, relu ? "aten.rnn_relu.input" : "aten.rnn_tanh.input", state(step, layer, 5)));
}

}  // namespace octet::onnx
