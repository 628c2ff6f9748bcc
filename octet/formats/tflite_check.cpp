#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "octet/formats/tflite_names.h"
#include "octet/formats/tflite_ops.h"
#include "octet/support/error.h"

namespace octet::tflite {
namespace {

bool is_known(Type type) {
  switch (type) {
    case Type::kFloat32:
    case Type::kFloat16:
    case Type::kInt32:
    case Type::kUInt8:
    case Type::kInt64:
    case Type::kBool:
    case Type::kInt16:
    case Type::kInt8:
      return true;
  }
  return false;
}

uint64_t checked_bytes(const Tensor& tensor, const std::string& where) {
  int64_t bytes = type_size(tensor.type);
  bool empty = false;
  for (const int64_t size : tensor.shape) {
    if (size < 0) throw Error(where, octet::str("the shape has a negative size, ", size));
    if (size > std::numeric_limits<int32_t>::max()) throw Error(where, octet::str("a size of ", size, " is absurd"));
    if (size == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(bytes, size, &bytes)) {
      throw Error(where, "the shape holds more elements than can be counted");
    }
  }
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

void check_quantization(const Tensor& tensor, const std::string& where) {
  const auto& [scale, zero_point, axis] = tensor.quantization;
  if (zero_point.size() != scale.size()) {
    throw expected(where, "zero points", octet::str(scale.size(), ", as many as scales"),
                   std::to_string(zero_point.size()));
  }
  const auto rank = static_cast<int64_t>(tensor.shape.size());
  if (axis < 0 || axis >= std::max<int64_t>(rank, 1)) {
    throw Error(where, octet::str("quantized dimension ", axis, " of a tensor with ", rank, " dimensions"));
  }
  if (scale.size() > 1) {
    const int64_t channels = rank == 0 ? 1 : tensor.shape[axis];
    if (static_cast<int64_t>(scale.size()) != channels) {
      throw expected(where, "scales", octet::str("1 or ", channels, ", the size of dimension ", axis),
                     std::to_string(scale.size()));
    }
  }
  if (scale.empty()) return;
  const std::optional<LevelRange> range = level_range(tensor.type);
  if (!range) throw Error(where, octet::str("is ", type_name(tensor.type), " and yet has a scale"));
  for (const float value : scale) {
    if (!(std::isfinite(value) && value > 0)) throw expected(where, "scale", "a number above 0", octet::str(value));
  }
  for (const int64_t value : zero_point) {
    if (value < range->low || value > range->high) {
      throw expected(where, "zero point", octet::str("of ", range->low, " to ", range->high), std::to_string(value));
    }
  }
}

void check_tensor(const Tensor& tensor, const std::string& where) {
  if (!is_known(tensor.type)) {
    throw Error(where, "is of a type that octet does not read: " + tensor_type_name(static_cast<int32_t>(tensor.type)));
  }
  const uint64_t bytes = checked_bytes(tensor, where);
  check_quantization(tensor, where);
  if (!tensor.is_constant && !tensor.data.empty()) throw Error(where, "has data, but is no constant");
  if (tensor.is_constant && tensor.data.size() != bytes) {
    throw expected(where, "bytes of data", std::to_string(bytes), std::to_string(tensor.data.size()));
  }
}

void check_options(const OpFacts& facts, const Operator& op, const std::string& where) {
  const Options& options = op.options;
  const auto at_least = [&](const char* what, int32_t value, int32_t least) {
    if (value < least) throw expected(where, what, octet::str("at least ", least), std::to_string(value));
  };
  const auto one_of = [&](const char* what, int value, int count) {
    if (value < 0 || value >= count) throw Error(where, octet::str(what, " ", value, " is not one that octet knows"));
  };
  one_of("padding", static_cast<int>(options.padding), 2);
  one_of("activation", static_cast<int>(options.activation), 4);
  one_of("mode", options.mirror_mode, 2);
  at_least("stride", std::min(options.stride_h, options.stride_w), 1);
  at_least("dilation", std::min(options.dilation_h, options.dilation_w), 1);
  at_least("filter", std::min(options.filter_h, options.filter_w), 1);
  at_least("depth multiplier", options.depth_multiplier, 0);
  if (facts.has(Field::block_size)) at_least("block size", options.block_size, 1);
  if (!is_known(options.in_type) || !is_known(options.out_type)) {
    throw Error(where, "casts a type that octet does not know");
  }
  if (facts.has(Field::values_count) && static_cast<int64_t>(op.inputs.size()) != options.values_count) {
    throw expected(where, "inputs", octet::str(options.values_count, ", as the options say"),
                   std::to_string(op.inputs.size()));
  }
  if (!std::isfinite(options.beta) || !std::isfinite(options.alpha)) {
    throw Error(where, "alpha or beta is not a finite number");
  }
  if (facts.has(Field::num_splits) && static_cast<int64_t>(op.outputs.size()) != options.num_splits) {
    throw expected(where, "outputs", octet::str(options.num_splits, ", one a split"),
                   std::to_string(op.outputs.size()));
  }
  if (only(facts.fields(), options) != options) throw Error(where, "has an option set that this operator lacks");
}

class Checker {
 public:
  Checker(const Model& model, const std::string& file) : model_(model), file_(file) {}

  void run() {
    const size_t limit = std::numeric_limits<int32_t>::max();
    if (model_.tensors.size() > limit || model_.operators.size() > limit) throw Error(file_, "holds absurdly much");
    ready_.resize(model_.tensors.size());
    for (size_t i = 0; i < model_.tensors.size(); ++i) {
      const Tensor& tensor = model_.tensors[i];
      check_tensor(tensor, tensor_place(file_, i, tensor.name));
      ready_[i] = tensor.is_constant;
    }
    for (const int32_t index : model_.inputs) define(index, file_ + ": inputs");
    for (size_t i = 0; i < model_.operators.size(); ++i) check_operator(i);
    for (const int32_t index : model_.outputs) use(index, file_ + ": outputs");
    check_signature(model_.signature_inputs, model_.inputs, "input");
    check_signature(model_.signature_outputs, model_.outputs, "output");
    for (const State& state : model_.states) check_state(state);
  }

 private:
  void in_range(int32_t index, const std::string& where) const {
    if (index < 0 || static_cast<size_t>(index) >= model_.tensors.size()) {
      throw Error(where, octet::str("there is no tensor ", index, " among ", model_.tensors.size()));
    }
  }
  void define(int32_t index, const std::string& where) {
    in_range(index, where);
    if (ready_[index]) {
      throw Error(where, octet::str("tensor ", index, " '", model_.tensors[index].name,
                                    "' is a constant or has its value from elsewhere"));
    }
    ready_[index] = true;
  }
  void use(int32_t index, const std::string& where) const {
    in_range(index, where);
    if (!ready_[index]) {
      throw Error(where,
                  octet::str("nothing before it computes tensor ", index, " '", model_.tensors[index].name, "'"));
    }
  }

  void check_operator(size_t index) {
    const Operator& op = model_.operators[index];
    const std::string where = operator_place(file_, index, op.code);
    const OpFacts* facts = find_op(static_cast<int32_t>(op.code));
    if (facts == nullptr) throw Error(where, "is not one that octet knows");
    if (op.version < 1) throw expected(where, "version", "at least 1", std::to_string(op.version));
    const auto inputs = static_cast<int64_t>(op.inputs.size());
    if (inputs < facts->inputs.least || inputs > facts->inputs.most) {
      const std::string least = std::to_string(facts->inputs.least);
      const bool any = facts->inputs.most == kAny;
      throw expected(where, "inputs",
                     any                                         ? least + " or more"
                     : facts->inputs.least == facts->inputs.most ? least
                                                                 : octet::str(least, " to ", facts->inputs.most),
                     std::to_string(inputs));
    }
    if (op.outputs.empty() || (op.outputs.size() > 1 && !facts->many_outputs)) {
      throw expected(where, "outputs", facts->many_outputs ? "1 or more" : "1", std::to_string(op.outputs.size()));
    }
    check_options(*facts, op, where);
    for (int64_t i = 0; i < inputs; ++i) {
      if (op.inputs[i] != -1 || i != facts->inputs.optional) use(op.inputs[i], where);
    }
    for (const int32_t output : op.outputs) define(output, where);
    if (facts->has(Field::axis)) {
      const int32_t along = op.code == OpCode::kGather ? op.inputs[0] : op.outputs[0];
      const auto rank = static_cast<int64_t>(model_.tensors[along].shape.size());
      if (op.options.axis < -rank || op.options.axis >= rank) {
        throw Error(where, octet::str("axis ", op.options.axis, " of a tensor with ", rank, " dimensions"));
      }
    }
  }

  void check_state(const State& state) const {
    const std::string where = octet::str(file_, ": variable '", state.name, "'");
    if (state.input >= 0) in_range(state.input, where);
    if (state.output >= 0) in_range(state.output, where);
    if (state.data.empty()) return;
    const int32_t index = state.input >= 0 ? state.input : state.output;
    if (index < 0) throw Error(where, "is neither read nor assigned");
    const uint64_t bytes = checked_bytes(model_.tensors[static_cast<size_t>(index)], where);
    if (state.data.size() != bytes) {
      throw expected(where, "bytes of its first value", std::to_string(bytes), std::to_string(state.data.size()));
    }
  }

  void check_signature(const std::vector<SignatureEntry>& entries, const std::vector<int32_t>& of, const char* what) {
    std::vector<bool> is_one(model_.tensors.size());
    for (const int32_t index : of) is_one[static_cast<size_t>(index)] = true;
    for (const auto& [name, index] : entries) {
      if (index < 0 || static_cast<size_t>(index) >= is_one.size() || !is_one[static_cast<size_t>(index)]) {
        throw Error(octet::str(file_, ": signature '", name, "'"), octet::str("tensor ", index, " is no ", what));
      }
    }
  }

  const Model& model_;
  const std::string& file_;
  std::vector<bool> ready_;  // has a value by now
};

}  // namespace

void check(const Model& model, const std::string& where) { Checker(model, where).run(); }

}  // namespace octet::tflite
