#include "octet/lowering/verify.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <numeric>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "octet/graph/found_places.h"
#include "octet/integer/executor.h"
#include "octet/lowering/constants.h"
#include "octet/lowering/facts.h"
#include "octet/lowering/layout.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/sqnr.h"
#include "octet/support/error.h"

namespace octet {

using integer::Grid;

namespace {

// The value on the tensor's grid, as the graph's quantize rounds it.
at::Tensor levels_of(const Grid& grid, const at::Tensor& value) { return lowering::quantized(value, grid).values; }

// What counts as a step where there is no grid: 1/256 of the range. A constant, but for rounding, has none: of its
// distance from 0, or of 1.
double step_without_grid(const at::Tensor& values) {
  constexpr double kRounding = 1e-5;
  const double range = (values.max() - values.min()).item<double>();
  const double reach = values.abs().max().item<double>();
  if (range > kRounding * reach) return range / 256.0;
  return (reach > 0.0 ? reach : 1.0) / 256.0;
}

// True where an operator of the graph writes into what it reads, so that values change after they were seen.
bool writes_in_place(const Graph& graph) {
  const std::vector<Node*> nodes = graph.nodes();
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const Node* node) { return node->is_call() && node->op().mutates(); });
}

Deviation deviation(const tflite::Tensor& tensor, const at::Tensor& integers, const at::Tensor& floats) {
  Deviation found;
  const at::Tensor got = integers.to(at::kDouble);
  if (got.numel() == 0) return found;
  at::Tensor wanted = floats.to(at::kDouble);
  double step = 0.0;
  if (const std::optional<Grid> grid = integer::grid_of(tensor)) {
    step = static_cast<double>(grid->scale);
    const auto zero = static_cast<double>(grid->zero_point);
    wanted = (levels_of(*grid, floats).to(at::kDouble) - zero) * step;
  } else {
    step = step_without_grid(wanted);
  }
  const at::Tensor steps = (got - wanted).abs() / std::max(step, 1e-30);
  found.different = steps.ge(0.5).sum().item<int64_t>();
  found.beyond_a_step = steps.gt(1.0 + 1e-3).sum().item<int64_t>();
  found.most_steps = steps.max().item<double>();
  found.sqnr_db = compute_error(wanted, got);
  return found;
}

// The two programs on the same inputs.
class Verifier {
 public:
  Verifier(GraphModule& converted, const tflite::Model& program, const std::vector<at::Tensor>& inputs)
      : program_(program), nodes_(lowering::node_values(program, converted.graph())) {
    for (size_t i = 0; i < program.operators.size(); ++i) {
      for (const int32_t output : program.operators[i].outputs) producers_[output] = i;
    }
    const bool changes = writes_in_place(converted.graph());
    const auto kept = [changes](const at::Tensor& value) { return changes ? value.clone() : value; };
    std::vector<at::Tensor> given;
    for (const at::Tensor& input : inputs) given.push_back(kept(input));
    std::unordered_set<const Node*> ordered;  // what places are found in
    for (const Node* node : converted.graph().nodes()) {
      const Node* finder = finder_of_places(*node);
      if (finder != nullptr && finder->arg(size_t{0}).is_node()) ordered.insert(finder->arg(size_t{0}).node());
    }
    wanted_ = converted.run_observed(given, [&](const Node& node, const c10::IValue& value) {
      if (value.isTensor() && ordered.count(&node) != 0) ordered_[&node] = kept(value.toTensor());
      if (!value.isTensor() || node.is(Trait::kDequantize) || node.is_get_attr()) return;
      values_[&node] = kept(value.toTensor());
    });
    if (program.inputs.size() != inputs.size() || program.outputs.size() != wanted_.size()) {
      throw expected("verify", "inputs and outputs of the program", octet::str(inputs.size(), " and ", wanted_.size()),
                     octet::str(program.inputs.size(), " and ", program.outputs.size()));
    }
    for (size_t j = 0; j < inputs.size(); ++j) given_.push_back(in_program_order(program.inputs[j], inputs[j]));
  }

  Verification run() {
    Verification found;
    // Every value that a node has too is a result of the program for once.
    std::vector<int32_t> traced = program_.outputs;
    std::unordered_set<int32_t> met(traced.begin(), traced.end());
    for (const tflite::Operator& op : program_.operators) {
      for (const int32_t output : op.outputs) {
        if (value_at(output) != nullptr && met.insert(output).second) traced.push_back(output);
      }
    }
    std::vector<size_t> all(program_.operators.size());
    std::iota(all.begin(), all.end(), size_t{0});
    const std::vector<at::Tensor> got = run_part(program_.inputs, all, traced, given_);
    const size_t results = program_.outputs.size();
    for (size_t j = 0; j < got.size(); ++j) {
      const tflite::Tensor& tensor = at(traced[j]);
      const at::Tensor& floats = j < results ? wanted_[j] : *value_at(traced[j]);
      const Node* node = node_at(traced[j]).node;
      std::optional<at::Tensor> integers = in_graph_order(traced[j], got[j], floats);
      if (!integers) {
        if (j >= results) continue;
        throw expected("verify", octet::str("shape of output ", j), octet::str(floats.sizes()),
                       octet::str(got[j].sizes()));
      }
      *integers = among_equals(node, *integers, floats);
      ValueDeviation value;
      value.name = node != nullptr ? node->name() : tensor.name;
      const auto last = producers_.find(traced[j]);
      value.op = last != producers_.end() ? tflite::op_name(program_.operators[last->second].code) : "";
      value.elements = integers->numel();
      value.whole = deviation(tensor, *integers, floats);
      value.alone = value.whole;
      if (const auto alone = run_alone(traced[j], floats)) {
        value.alone = deviation(tensor, among_equals(node, *alone, floats), floats);
      }
      (j < results ? found.outputs : found.layers).push_back(std::move(value));
    }
    return found;
  }

 private:
  const tflite::Tensor& at(int32_t index) const { return program_.tensors[static_cast<size_t>(index)]; }
  const lowering::NodeValue& node_at(int32_t index) const { return nodes_[static_cast<size_t>(index)]; }
  // What the float program has there; nullptr where no node gives it.
  const at::Tensor* value_at(int32_t index) const {
    const auto found = values_.find(node_at(index).node);
    return found != values_.end() ? &found->second : nullptr;
  }

  // Places with the float program's in their stead where equal values stand at both: none of these is the right one.
  at::Tensor among_equals(const Node* node, const at::Tensor& got, const at::Tensor& wanted) const {
    const Node* finder = node == nullptr ? nullptr : finder_of_places(*node);
    const auto found = finder == nullptr ? ordered_.end() : ordered_.find(finder->arg(size_t{0}).node());
    if (found == ordered_.end() || got.sizes() != wanted.sizes() || got.numel() == 0) return got;
    at::Tensor x = found->second;
    const bool of_all = finder->has_arg("dim") && finder->arg("dim").is_none();
    if (of_all) x = x.reshape({-1});
    const int64_t dim = of_all || !finder->has_arg("dim") ? -1 : finder->arg("dim").to_int();
    const auto in_place = [&](const at::Tensor& places) {
      const at::Tensor whole = places.to(at::kLong);
      return of_all ? whole.reshape({-1}) : whole.dim() < x.dim() ? whole.unsqueeze(dim) : whole;
    };
    const at::Tensor mine = in_place(got), theirs = in_place(wanted);
    if (x.dim() == 0 || mine.dim() != x.dim()) return got;
    if (mine.min().item<int64_t>() < 0 || mine.max().item<int64_t>() >= x.size(dim)) return got;
    const at::Tensor are_equal = x.gather(dim, mine).eq(x.gather(dim, theirs)).reshape(got.sizes());
    return at::where(are_equal, wanted.to(got.scalar_type()), got);
  }

  // A value of the graph, in the order and type that the tensor has.
  at::Tensor in_program_order(int32_t index, const at::Tensor& value) const {
    const tflite::Tensor& tensor = at(index);
    std::vector<int64_t> sizes = value.sizes().vec();
    const size_t rank = sizes.size();
    if (rank > 0 && !tensor.shape.empty()) sizes[0] = tensor.shape[0];  // any multiple of the program's batch
    const bool fits = rank > 2 && lowering::reordered(sizes, lowering::to_channels_last(rank)) == tensor.shape;
    const bool is_nhwc = fits && (node_at(index).channels_last || sizes != tensor.shape);
    return is_nhwc ? value.permute(lowering::to_channels_last(rank)).contiguous() : value;
  }

  // The other way; nullopt where the shapes do not fit.
  std::optional<at::Tensor> in_graph_order(int32_t index, const at::Tensor& value, const at::Tensor& node_value) const {
    const auto rank = static_cast<size_t>(value.dim());
    if (!node_at(index).channels_last && value.sizes() == node_value.sizes()) return value;
    if (rank < 3) return std::nullopt;
    const at::Tensor turned = value.permute(lowering::to_channels_first(rank));
    return turned.sizes() == node_value.sizes() ? std::optional(turned) : std::nullopt;
  }

  // These operators alone, by their numbers, with the tensors that they name.
  template <typename Numbers>
  std::vector<at::Tensor> run_part(std::vector<int32_t> inputs, const Numbers& operators, std::vector<int32_t> outputs,
                                   const std::vector<at::Tensor>& values) const {
    tflite::Model part;
    std::unordered_map<int32_t, int32_t> numbers;
    const auto take = [&](std::vector<int32_t>& tensors) {
      for (int32_t& tensor : tensors) {
        if (tensor < 0) continue;
        const auto [known, is_new] = numbers.try_emplace(tensor, static_cast<int32_t>(part.tensors.size()));
        if (is_new) part.tensors.push_back(at(tensor));
        tensor = known->second;
      }
    };
    take(inputs);
    for (const size_t number : operators) {
      tflite::Operator op = program_.operators[number];
      take(op.inputs);
      take(op.outputs);
      part.operators.push_back(std::move(op));
    }
    take(outputs);
    part.inputs = std::move(inputs);
    part.outputs = std::move(outputs);
    return integer::Executor(std::move(part)).run_dequantized(values);
  }

  // The operators between a value and the values that both programs have, on what the float program has there. nullopt
  // where that is the whole way from the inputs.
  std::optional<at::Tensor> run_alone(int32_t output, const at::Tensor& floats) const {
    std::vector<int32_t> inputs;
    std::vector<at::Tensor> values;
    std::unordered_set<int32_t> met;
    std::set<size_t> needed;  // in order of execution
    std::vector<int32_t> pending = {output};
    while (!pending.empty()) {
      const int32_t index = pending.back();
      pending.pop_back();
      if (index < 0 || at(index).is_constant || !met.insert(index).second) continue;
      const auto input = std::find(program_.inputs.begin(), program_.inputs.end(), index);
      const auto producer = producers_.find(index);
      if (input != program_.inputs.end() || (index != output && value_at(index) != nullptr)) {
        inputs.push_back(index);
        if (input != program_.inputs.end()) {
          values.push_back(given_[static_cast<size_t>(input - program_.inputs.begin())]);
        } else {
          const at::Tensor value = in_program_order(index, *value_at(index));
          const std::optional<Grid> grid = integer::grid_of(at(index));
          values.push_back(grid ? levels_of(*grid, value) : value);
        }
      } else if (producer != producers_.end() && needed.insert(producer->second).second) {
        const std::vector<int32_t>& read = program_.operators[producer->second].inputs;
        pending.insert(pending.end(), read.begin(), read.end());
      }
    }
    if (inputs.empty()) return std::nullopt;
    return in_graph_order(output, run_part(inputs, needed, {output}, values).at(0), floats);
  }

  const tflite::Model& program_;
  std::vector<lowering::NodeValue> nodes_;         // of each tensor
  std::unordered_map<int32_t, size_t> producers_;  // number of the operator that computes a tensor
  std::unordered_map<const Node*, at::Tensor> values_, ordered_;
  std::vector<at::Tensor> wanted_;
  std::vector<at::Tensor> given_;
};

}  // namespace

const ValueDeviation* Verification::first_difference() const {
  for (const ValueDeviation& layer : layers) {
    if (layer.whole.different > 0) return &layer;
  }
  return nullptr;
}

Verification verify(GraphModule& converted, const tflite::Model& program, const std::vector<at::Tensor>& inputs) {
  const at::NoGradGuard no_grad;
  converted.train(false);
  return Verifier(converted, program, inputs).run();
}

}  // namespace octet
