#include "octet/lowering/simplify.h"

#include <algorithm>
#include <unordered_map>

#include "octet/lowering/constant_data.h"
#include "octet/lowering/fuse.h"
#include "octet/lowering/layout.h"

namespace octet::lowering {

using tflite::OpCode;

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
  Simplifier(Program& program, const LoweringOptions& options) : program_(program), options_(options) {}

  void run() {
    // A round costs the program's length. It takes another where an edit lets an earlier operator do more: behind a
    // flattened image that was itself behind one.
    bool changed = true;
    while (changed) {
      changed = false;
      for (OperatorId id = program_.first(); id != kNoOperator;) {
        const OperatorId next = program_.next(id);
        changed |= step(id);
        id = next;
      }
      changed |= program_.erase_unread();
    }
    if (!options_.is_plain()) {
      fuse_activations(program_);
      fuse_paddings(program_);
      program_.erase_unread();
    } else {
      order_by_generation();
    }
  }

 private:
  // Whether it did anything; the operator alone may be gone afterwards.
  bool step(OperatorId id) {
    switch (op(id).code) {
      case OpCode::kTranspose:
        return merge_transposes(id) || (!options_.is_plain() && fold_constant(id)) || drop_if_identity(id) ||
               (!options_.is_plain() && reshape_instead(id));
      case OpCode::kReshape:
        return !options_.is_plain() && (merge_reshapes(id) || drop_if_identity(id));
      case OpCode::kFullyConnected:
        return read_flattened_as_it_lies(id);
      default:
        return false;
    }
  }

  const Program::Operator& op(OperatorId id) const { return program_.at(id); }
  ValueId input(OperatorId id, size_t index = 0) const { return op(id).inputs[index]; }
  ValueId output(OperatorId id) const { return op(id).outputs[0]; }
  std::vector<int64_t> order_of(OperatorId transpose) const { return program_.integers_of(input(transpose, 1)); }

  // The operator that computes the input, where it is of this kind; kNoOperator otherwise.
  OperatorId before(OperatorId id, OpCode code) const {
    const OperatorId found = program_.producer(input(id));
    return found != kNoOperator && op(found).code == code ? found : kNoOperator;
  }

  bool merge_transposes(OperatorId id) {
    const OperatorId first = before(id, OpCode::kTranspose);
    if (first == kNoOperator) return false;
    const std::vector<int64_t> order = reordered(order_of(first), order_of(id));
    const std::string name = program_.at(input(id, 1)).name + "_merged";
    program_.set_input(id, 0, input(first));
    program_.set_input(id, 1, program_.integers(name, order));
    return true;
  }

  bool fold_constant(OperatorId id) {
    const Program::Value& source = program_.at(input(id));
    if (!source.constant) return false;
    ConstantData folded =
        permuted(ConstantData{source.type, source.shape, source.quantization, *source.constant}, order_of(id));
    const ValueId result = output(id);
    program_.erase(id);
    program_.make_constant(result, std::move(folded));
    return true;
  }

  bool drop_if_identity(OperatorId id) {
    const ValueId from = input(id), to = output(id);
    const bool same = op(id).code == OpCode::kTranspose ? is_identity(order_of(id))
                                                        : program_.at(from).shape == program_.at(to).shape;
    if (!same) return false;
    if (!program_.is_output(to)) {
      program_.erase(id);
      program_.replace_reads(to, from);
      return true;
    }
    const OperatorId first = program_.producer(from);
    if (first == kNoOperator || program_.is_output(from)) return false;  // an input that is a result as well
    const std::vector<ValueId>& results = op(first).outputs;
    const auto place = static_cast<size_t>(std::find(results.begin(), results.end(), from) - results.begin());
    program_.erase(id);
    program_.set_output(first, place, to);
    program_.replace_reads(from, to);
    return true;
  }

  bool reshape_instead(OperatorId id) {
    if (!keeps_memory(program_.at(input(id)).shape, order_of(id))) return false;
    const Program::Value& result = program_.at(output(id));
    const std::vector<int64_t> shape = result.shape;
    const ValueId sizes = program_.integers(result.name + "_shape", shape);
    program_.set_code(id, OpCode::kReshape);
    program_.options(id).new_shape.assign(shape.begin(), shape.end());
    program_.set_input(id, 1, sizes);
    return true;
  }

  bool merge_reshapes(OperatorId id) {
    const OperatorId first = before(id, OpCode::kReshape);
    if (first == kNoOperator) return false;
    program_.set_input(id, 0, input(first));
    return true;
  }

  bool is_read_here_alone(ValueId value) const { return program_.read_count(value) == 1 && !program_.is_output(value); }

  // transpose, flatten, product with constant weights: the weights' columns move instead.
  bool read_flattened_as_it_lies(OperatorId id) {
    const OperatorId flatten = before(id, OpCode::kReshape);
    if (flatten == kNoOperator || !is_read_here_alone(input(id))) return false;
    const OperatorId transpose = before(flatten, OpCode::kTranspose);
    if (transpose == kNoOperator || !is_read_here_alone(input(flatten))) return false;
    const Program::Value& weight = program_.at(input(id, 1));
    const std::vector<int64_t> order = order_of(transpose);
    const std::vector<int64_t>& image = program_.at(input(flatten)).shape;
    const std::vector<int64_t>& flat = program_.at(input(id)).shape;
    if (!weight.constant || order.empty() || order[0] != 0 || flat.size() != 2 || flat[0] != image[0] ||
        weight.shape.size() != 2 || weight.shape[1] != flat[1]) {
      return false;
    }
    std::vector<int64_t> columns = image, back(order.size());
    columns[0] = weight.shape[0];
    for (size_t d = 0; d < order.size(); ++d) back[static_cast<size_t>(order[d])] = static_cast<int64_t>(d);
    ConstantData moved = permuted(ConstantData{weight.type, columns, weight.quantization, *weight.constant}, back);
    moved.shape = weight.shape;
    const ValueId reordered_weight = program_.constant(weight.name + "_nhwc", std::move(moved));
    program_.set_input(flatten, 0, input(transpose));
    program_.rename(input(id), program_.at(input(id)).name + "_nhwc");
    program_.set_value_source(input(id), {});  // no longer in the order of the graph's value
    program_.set_input(id, 1, reordered_weight);
    return true;
  }

  // As the reference sorts: all operators whose inputs are there, then those that these make ready.
  void order_by_generation() {
    const std::vector<OperatorId> given = program_.order();
    std::unordered_map<OperatorId, size_t> waiting;  // for so many inputs
    std::unordered_map<ValueId, std::vector<OperatorId>> readers_of;
    std::vector<OperatorId> generation;
    for (const OperatorId id : given) {
      size_t& count = waiting[id];
      for (const ValueId value : op(id).inputs) {
        if (value == kNoValue || program_.producer(value) == kNoOperator) continue;
        readers_of[value].push_back(id);
        ++count;
      }
      if (count == 0) generation.push_back(id);
    }
    // Of several readers the reference takes the first last.
    for (auto& [value, readers] : readers_of) std::rotate(readers.begin(), readers.begin() + 1, readers.end());
    for (const ValueId value : program_.inputs()) put_first_reader_last(generation, value);
    std::vector<OperatorId> sorted;
    while (!generation.empty()) {
      std::vector<OperatorId> next;
      for (const OperatorId id : generation) {
        sorted.push_back(id);
        for (const ValueId result : op(id).outputs) {
          for (const OperatorId reader : readers_of[result]) {
            if (--waiting[reader] == 0) next.push_back(reader);
          }
        }
      }
      generation = std::move(next);
    }
    program_.reorder(sorted);
  }

  // The same for the transpositions of one input.
  void put_first_reader_last(std::vector<OperatorId>& generation, ValueId value) const {
    std::vector<size_t> places;
    for (size_t i = 0; i < generation.size(); ++i) {
      if (op(generation[i]).code == OpCode::kTranspose && input(generation[i]) == value) places.push_back(i);
    }
    for (size_t i = 0; i + 1 < places.size(); ++i) std::swap(generation[places[i]], generation[places[i + 1]]);
  }

  Program& program_;
  const LoweringOptions& options_;
};

}  // namespace

void simplify(Program& program, const LoweringOptions& options) { Simplifier(program, options).run(); }

}  // namespace octet::lowering
