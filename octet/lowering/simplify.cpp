#include "octet/lowering/simplify.h"

#include <algorithm>
#include <numeric>

#include "octet/formats/tflite_versions.h"
#include "octet/lowering/fuse.h"
#include "octet/lowering/layout.h"
#include "octet/lowering/model_view.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Operator;
using tflite::Tensor;

namespace {

bool is_identity(const std::vector<int64_t>& order) {
  for (size_t d = 0; d < order.size(); ++d) {
    if (order[d] != static_cast<int64_t>(d)) return false;
  }
  return true;
}

// Only dimensions of one element move.
bool keeps_memory(const std::vector<int64_t>& shape, const std::vector<int64_t>& order) {
  int64_t last = -1;
  for (const int64_t axis : order) {
    if (shape[static_cast<size_t>(axis)] == 1) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

class Simplifier {
 public:
  Simplifier(tflite::Model model, const LoweringOptions& options) : model_(std::move(model)), options_(options) {}

  tflite::Model run() {
    bool changed = true;
    while (changed) {
      changed = false;
      for (size_t i = 0; i < model_.operators.size(); ++i) changed |= step(i);
      changed |= remove_unread();
    }
    if (!options_.is_plain()) {
      fuse_activations(model_);
      remove_unread();
    } else {
      order_by_generation();
    }
    renumber_tensors();
    for (Operator& op : model_.operators) op.version = tflite::lowest_version(model_, op);
    return std::move(model_);
  }

 private:
  bool step(size_t index) {
    Operator& op = model_.operators[index];
    switch (op.code) {
      case OpCode::kTranspose:
        return merge_transposes(op) || (!options_.is_plain() && fold_constant(op)) || drop_if_identity(op) ||
               (!options_.is_plain() && reshape_instead(op));
      case OpCode::kReshape:
        return !options_.is_plain() && (merge_reshapes(op) || drop_if_identity(op));
      case OpCode::kFullyConnected:
        return read_flattened_as_it_lies(op);
      default:
        return false;
    }
  }

  const Tensor& tensor(int32_t index) const { return model_.tensors[static_cast<size_t>(index)]; }

  int32_t integers(const std::string& name, const std::vector<int64_t>& values) {
    Tensor added;
    added.name = name;
    added.type = tflite::Type::kInt32;
    added.shape = {static_cast<int64_t>(values.size())};
    added.is_constant = true;
    added.data = bytes_of(values);
    model_.tensors.push_back(std::move(added));
    return static_cast<int32_t>(model_.tensors.size()) - 1;
  }

  bool merge_transposes(Operator& op) {
    const Operator* before = producer(model_, op.inputs[0]);
    if (before == nullptr || before->code != OpCode::kTranspose) return false;
    const std::vector<int64_t> first = integers_of(tensor(before->inputs[1]));
    const std::vector<int64_t> second = integers_of(tensor(op.inputs[1]));
    const std::string name = tensor(op.inputs[1]).name + "_merged";
    const int32_t source = before->inputs[0];
    op.inputs = {source, integers(name, reordered(first, second))};
    return true;
  }

  bool fold_constant(Operator& op) {
    const Tensor& source = tensor(op.inputs[0]);
    if (!source.is_constant) return false;
    const std::vector<int64_t> order = integers_of(tensor(op.inputs[1]));
    Tensor folded = transposed_constant(source, order);
    folded.name = tensor(op.outputs[0]).name;
    model_.tensors[static_cast<size_t>(op.outputs[0])] = std::move(folded);
    op.outputs.clear();
    return true;
  }

  bool drop_if_identity(Operator& op) {
    if (op.outputs.empty()) return false;
    const int32_t from = op.inputs[0];
    const int32_t to = op.outputs[0];
    const bool same = op.code == OpCode::kTranspose ? is_identity(integers_of(tensor(op.inputs[1])))
                                                    : tensor(from).shape == tensor(to).shape;
    if (!same) return false;
    if (!is_output(model_, to)) {
      replace_reads(model_, to, from);
      op.outputs.clear();
      return true;
    }
    Operator* before = producer(model_, from);
    if (before == nullptr || is_output(model_, from)) return false;  // an input that is a result as well
    op.outputs.clear();
    std::replace(before->outputs.begin(), before->outputs.end(), from, to);
    replace_reads(model_, from, to);
    return true;
  }

  bool reshape_instead(Operator& op) {
    if (op.outputs.empty() || !keeps_memory(tensor(op.inputs[0]).shape, integers_of(tensor(op.inputs[1])))) {
      return false;
    }
    op.code = OpCode::kReshape;
    const std::vector<int64_t> shape = tensor(op.outputs[0]).shape;
    op.options.new_shape.assign(shape.begin(), shape.end());
    op.inputs[1] = integers(tensor(op.outputs[0]).name + "_shape", shape);
    return true;
  }

  bool merge_reshapes(Operator& op) {
    const Operator* before = producer(model_, op.inputs[0]);
    if (before == nullptr || before->code != OpCode::kReshape) return false;
    op.inputs[0] = before->inputs[0];
    return true;
  }

  // transpose, flatten, product with constant weights: the weights' columns move instead.
  bool read_flattened_as_it_lies(Operator& op) {
    Operator* flatten = producer(model_, op.inputs[0]);
    if (flatten == nullptr || flatten->code != OpCode::kReshape || readers(model_, op.inputs[0]) != 1) return false;
    const Operator* transpose = producer(model_, flatten->inputs[0]);
    if (transpose == nullptr || transpose->code != OpCode::kTranspose || is_output(model_, flatten->inputs[0]) ||
        is_output(model_, op.inputs[0]) || readers(model_, flatten->inputs[0]) != 1) {
      return false;
    }
    const Tensor& weight = tensor(op.inputs[1]);
    const std::vector<int64_t> order = integers_of(tensor(transpose->inputs[1]));
    const std::vector<int64_t>& image = tensor(flatten->inputs[0]).shape;
    const std::vector<int64_t>& flat = tensor(op.inputs[0]).shape;
    if (!weight.is_constant || order.empty() || order[0] != 0 || flat.size() != 2 || flat[0] != image[0] ||
        weight.shape.size() != 2 || weight.shape[1] != flat[1]) {
      return false;
    }
    Tensor columns = weight;
    columns.shape = image;
    columns.shape[0] = weight.shape[0];
    std::vector<int64_t> back(order.size());
    for (size_t d = 0; d < order.size(); ++d) back[static_cast<size_t>(order[d])] = static_cast<int64_t>(d);
    columns = transposed_constant(columns, back);
    columns.shape = weight.shape;
    columns.name = weight.name + "_nhwc";
    flatten->inputs[0] = transpose->inputs[0];
    model_.tensors[static_cast<size_t>(op.inputs[0])].name += "_nhwc";  // no longer in the order of the graph's value
    model_.tensors.push_back(std::move(columns));
    op.inputs[1] = static_cast<int32_t>(model_.tensors.size()) - 1;
    return true;
  }

  bool remove_unread() {
    const size_t before = model_.operators.size();
    bool changed = true;
    while (changed) {
      std::vector<bool> read(model_.tensors.size(), false);
      for (const int32_t output : model_.outputs) read[static_cast<size_t>(output)] = true;
      for (const Operator& op : model_.operators) {
        for (const int32_t input : op.inputs) {
          if (input >= 0) read[static_cast<size_t>(input)] = true;
        }
      }
      changed = std::erase_if(model_.operators, [&](const Operator& op) {
                  return std::none_of(op.outputs.begin(), op.outputs.end(),
                                      [&](int32_t output) { return read[static_cast<size_t>(output)]; });
                }) > 0;
    }
    return model_.operators.size() != before;
  }

  // As the reference sorts: all operators whose inputs are there, then those that these make ready.
  void order_by_generation() {
    const std::vector<Operator>& ops = model_.operators;
    std::vector<std::vector<size_t>> readers_of(model_.tensors.size());
    std::vector<size_t> waiting(ops.size(), 0);
    std::vector<bool> computed(model_.tensors.size(), false);
    for (const Operator& op : ops) {
      for (const int32_t output : op.outputs) computed[static_cast<size_t>(output)] = true;
    }
    for (size_t i = 0; i < ops.size(); ++i) {
      for (const int32_t input : ops[i].inputs) {
        if (input < 0 || !computed[static_cast<size_t>(input)]) continue;
        readers_of[static_cast<size_t>(input)].push_back(i);
        ++waiting[i];
      }
    }
    // Of several readers the reference takes the first last.
    for (std::vector<size_t>& readers : readers_of) {
      if (readers.size() > 1) std::rotate(readers.begin(), readers.begin() + 1, readers.end());
    }
    std::vector<size_t> generation;
    for (size_t i = 0; i < ops.size(); ++i) {
      if (waiting[i] == 0) generation.push_back(i);
    }
    for (const int32_t input : model_.inputs) put_first_reader_last(generation, input);
    std::vector<Operator> sorted;
    while (!generation.empty()) {
      std::vector<size_t> next;
      for (const size_t i : generation) {
        sorted.push_back(ops[i]);
        for (const int32_t output : ops[i].outputs) {
          for (const size_t reader : readers_of[static_cast<size_t>(output)]) {
            if (--waiting[reader] == 0) next.push_back(reader);
          }
        }
      }
      generation = std::move(next);
    }
    model_.operators = std::move(sorted);
  }

  // The same for the transpositions of one input.
  void put_first_reader_last(std::vector<size_t>& generation, int32_t input) const {
    std::vector<size_t> places;
    for (size_t i = 0; i < generation.size(); ++i) {
      const Operator& op = model_.operators[generation[i]];
      if (op.code == OpCode::kTranspose && op.inputs[0] == input) places.push_back(i);
    }
    for (size_t i = 0; i + 1 < places.size(); ++i) std::swap(generation[places[i]], generation[places[i + 1]]);
  }

  void renumber_tensors() {
    std::vector<int32_t> number(model_.tensors.size(), -1);
    std::vector<Tensor> kept;
    const auto keep = [&](int32_t& index) {
      if (index < 0) return;
      int32_t& target = number[static_cast<size_t>(index)];
      if (target < 0) {
        target = static_cast<int32_t>(kept.size());
        kept.push_back(std::move(model_.tensors[static_cast<size_t>(index)]));
      }
      index = target;
    };
    for (int32_t& input : model_.inputs) keep(input);
    for (Operator& op : model_.operators) {
      for (int32_t& input : op.inputs) keep(input);
      for (int32_t& output : op.outputs) keep(output);
    }
    for (int32_t& output : model_.outputs) keep(output);
    for (auto& [name, index] : model_.signature_inputs) keep(index);
    for (auto& [name, index] : model_.signature_outputs) keep(index);
    model_.tensors = std::move(kept);
  }

  tflite::Model model_;
  const LoweringOptions& options_;
};

}  // namespace

tflite::Model simplified(tflite::Model model, const LoweringOptions& options) {
  return Simplifier(std::move(model), options).run();
}

}  // namespace octet::lowering
