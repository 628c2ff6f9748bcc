#include "octet/lowering/program.h"

#include <algorithm>
#include <cstring>

#include "octet/formats/tflite_versions.h"
#include "octet/lowering/constant_data.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::Type;

std::optional<Grid> Program::Value::grid() const {
  if (!integer::is_level_type(type) || quantization.scale.size() != 1) return std::nullopt;
  return Grid::of_type(type, quantization.scale.front(), quantization.zero_point.front());
}

std::string Program::unique_name(const std::string& wanted) {
  std::string name = wanted;
  while (!names_.insert(name).second) name = octet::str(wanted, "_", ++next_suffix_[wanted]);
  return name;
}

ValueId Program::add(Value value) {
  value.name = unique_name(value.name);
  ValueEntry added;
  added.value = std::move(value);
  values_.push_back(std::move(added));
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Program::value(const std::string& name, std::vector<int64_t> shape, const std::optional<Grid>& grid) {
  Value added;
  added.name = name;
  added.shape = std::move(shape);
  if (grid) {
    added.type = grid->type;
    added.quantization = grid->quantization();
  }
  return add(std::move(added));
}

ValueId Program::value(const std::string& name, std::vector<int64_t> shape, Type type) {
  Value added;
  added.name = name;
  added.shape = std::move(shape);
  added.type = type;
  return add(std::move(added));
}

ValueId Program::value_like(ValueId other, const std::string& name, std::vector<int64_t> shape) {
  const std::optional<Grid> grid = at(other).grid();
  return grid ? value(name, std::move(shape), grid) : value(name, std::move(shape), at(other).type);
}

ValueId Program::constant(const std::string& name, const Constant& constant) {
  const at::Tensor values = constant.values.contiguous();
  std::vector<uint8_t> data(values.nbytes());
  if (!data.empty()) std::memcpy(data.data(), values.const_data_ptr(), data.size());
  return this->constant(name, ConstantData{type_of(values.scalar_type(), name), values.sizes().vec(),
                                           constant.quantization, std::move(data)});
}

ValueId Program::constant(const std::string& name, ConstantData constant) {
  Value added;
  added.name = name;
  const ValueId value = add(std::move(added));
  make_constant(value, std::move(constant));
  return value;
}

ValueId Program::integers(const std::string& name, const std::vector<int64_t>& values) {
  return integers(name, values, {static_cast<int64_t>(values.size())});
}

ValueId Program::integers(const std::string& name, const std::vector<int64_t>& values,
                          const std::vector<int64_t>& shape) {
  for (const int64_t value : values) {
    if (value != static_cast<int32_t>(value)) throw expected(name, "index", "within int32", std::to_string(value));
  }
  return constant(name, ConstantData{Type::kInt32, shape, {}, bytes_of(values)});
}

OperatorId Program::emit(tflite::OpCode code, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
                         const tflite::Options& options) {
  return insert_before(kNoOperator, code, std::move(inputs), std::move(outputs), options);
}

OperatorId Program::insert_before(OperatorId next, tflite::OpCode code, std::vector<ValueId> inputs,
                                  std::vector<ValueId> outputs, const tflite::Options& options) {
  const auto op = static_cast<OperatorId>(operators_.size());
  for (const ValueId output : outputs) set_producer(output, op);
  OperatorEntry added;
  added.op = {code, options, std::move(inputs), std::move(outputs), source_};
  added.use_places.resize(added.op.inputs.size());
  operators_.push_back(std::move(added));
  for (size_t i = 0; i < at(op).inputs.size(); ++i) add_use(op, i);
  link_before(op, next);
  return op;
}

void Program::link_before(OperatorId op, OperatorId next) {
  OperatorEntry& linked = entry(op);
  linked.next = next;
  linked.previous = next == kNoOperator ? last_ : entry(next).previous;
  (linked.previous == kNoOperator ? first_ : entry(linked.previous).next) = op;
  (next == kNoOperator ? last_ : entry(next).previous) = op;
  ++count_;
}

void Program::unlink(OperatorId op) {
  OperatorEntry& gone = entry(op);
  (gone.previous == kNoOperator ? first_ : entry(gone.previous).next) = gone.next;
  (gone.next == kNoOperator ? last_ : entry(gone.next).previous) = gone.previous;
  gone.previous = gone.next = kNoOperator;
  --count_;
}

void Program::add_use(OperatorId op, size_t index) {
  OperatorEntry& reader = entry(op);
  const ValueId value = reader.op.inputs[index];
  if (value == kNoValue) return;
  reader.use_places[index] = entry(value).uses.size();
  entry(value).uses.push_back({op, index});
}

void Program::remove_use(OperatorId op, size_t index) {
  const ValueId value = entry(op).op.inputs[index];
  if (value == kNoValue) return;
  std::vector<Use>& uses = entry(value).uses;
  const size_t place = entry(op).use_places[index];
  uses[place] = uses.back();
  entry(uses[place].op).use_places[uses[place].index] = place;
  uses.pop_back();
}

void Program::set_producer(ValueId value, OperatorId op) {
  ValueEntry& computed = entry(value);
  if (computed.producer != kNoOperator || computed.is_input || computed.value.constant) {
    throw Error("program", octet::str("value '", computed.value.name, "' would be computed twice"));
  }
  computed.producer = op;
}

void Program::add_input(const std::string& signature_name, ValueId value) {
  set_producer(value, kNoOperator);
  entry(value).is_input = true;
  inputs_.push_back(value);
  input_names_.push_back(signature_name);
}

void Program::add_output(const std::string& signature_name, ValueId value) {
  entry(value).is_output = true;
  outputs_.push_back(value);
  output_names_.push_back(signature_name);
}

std::vector<int64_t> Program::integers_of(ValueId value) const {
  const Value& found = at(value);
  if (found.type != Type::kInt32 || !found.constant) {
    throw expected(found.name, "value", "a constant of int32", tflite::type_name(found.type));
  }
  return lowering::integers_of(*found.constant);
}

std::vector<OperatorId> Program::readers(ValueId value) const {
  std::vector<OperatorId> found;
  for (const Use& use : entry(value).uses) found.push_back(use.op);
  return found;
}

std::vector<OperatorId> Program::order() const {
  std::vector<OperatorId> found;
  found.reserve(count_);
  for (OperatorId op = first_; op != kNoOperator; op = next(op)) found.push_back(op);
  return found;
}

void Program::reorder(const std::vector<OperatorId>& order) {
  if (order.size() != count_) {
    throw expected("program", "operators in the new order", std::to_string(count_), std::to_string(order.size()));
  }
  for (const OperatorId op : order) unlink(op);
  for (const OperatorId op : order) link_before(op, kNoOperator);
}

void Program::set_input(OperatorId op, size_t index, ValueId value) {
  remove_use(op, index);
  entry(op).op.inputs[index] = value;
  add_use(op, index);
}

void Program::set_output(OperatorId op, size_t index, ValueId value) {
  set_producer(value, op);
  ValueId& output = entry(op).op.outputs[index];
  entry(output).producer = kNoOperator;
  output = value;
}

void Program::replace_reads(ValueId from, ValueId to) {
  if (from == to) return;
  while (!entry(from).uses.empty()) {
    const Use use = entry(from).uses.back();
    set_input(use.op, use.index, to);
  }
}

void Program::erase(OperatorId op) {
  OperatorEntry& gone = entry(op);
  for (size_t i = 0; i < gone.op.inputs.size(); ++i) remove_use(op, i);
  for (const ValueId output : gone.op.outputs) entry(output).producer = kNoOperator;
  gone.op.inputs.clear();
  gone.op.outputs.clear();
  gone.is_erased = true;
  unlink(op);
}

bool Program::erase_unread() {
  const size_t before = count_;
  for (OperatorId op = last_; op != kNoOperator;) {
    const OperatorId earlier = previous(op);
    const std::vector<ValueId>& outputs = at(op).outputs;
    if (std::none_of(outputs.begin(), outputs.end(), [&](ValueId output) { return is_read(output); })) erase(op);
    op = earlier;
  }
  return count_ != before;
}

void Program::make_constant(ValueId value, ConstantData constant) {
  set_producer(value, kNoOperator);
  Value& made = entry(value).value;
  made.type = constant.type;
  made.shape = std::move(constant.shape);
  made.quantization = std::move(constant.quantization);
  made.constant = std::move(constant.data);
}

void Program::verify() const {
  const auto fail = [](const std::string& what) { throw Error("program", what, ErrorCategory::kInternal); };
  std::vector<bool> ready(values_.size(), false);
  std::vector<size_t> reads(values_.size(), 0);
  for (size_t i = 0; i < values_.size(); ++i) ready[i] = values_[i].is_input || values_[i].value.constant;
  size_t count = 0;
  for (OperatorId op = first_; op != kNoOperator; op = next(op), ++count) {
    const OperatorEntry& each = entry(op);
    const std::string where = octet::str("operator ", count, ' ', tflite::op_name(each.op.code));
    if (each.is_erased || (each.next == kNoOperator ? last_ : entry(each.next).previous) != op) {
      fail(where + " stands in no order");
    }
    for (size_t i = 0; i < each.op.inputs.size(); ++i) {
      const ValueId input = each.op.inputs[i];
      if (input == kNoValue) continue;
      if (!ready[static_cast<size_t>(input)]) fail(octet::str(where, " reads '", at(input).name, "' too early"));
      const std::vector<Use>& uses = entry(input).uses;
      const size_t place = each.use_places[i];
      if (place >= uses.size() || uses[place].op != op || uses[place].index != i) {
        fail(octet::str(where, " is not among the readers of '", at(input).name, "'"));
      }
      ++reads[static_cast<size_t>(input)];
    }
    for (const ValueId output : each.op.outputs) {
      if (producer(output) != op) fail(octet::str(where, " is not the producer of '", at(output).name, "'"));
      ready[static_cast<size_t>(output)] = true;
    }
  }
  if (count != count_) fail("counts its operators wrong");
  for (size_t i = 0; i < values_.size(); ++i) {
    if (reads[i] != values_[i].uses.size()) fail(octet::str("'", values_[i].value.name, "' has a reader that is gone"));
  }
  for (const ValueId output : outputs_) {
    if (!ready[static_cast<size_t>(output)]) fail(octet::str("nothing computes the result '", at(output).name, "'"));
  }
}

tflite::Model Program::to_model() const {
  tflite::Model model;
  ProgramFacts facts;
  std::vector<int32_t> number(values_.size(), -1);
  const auto index_of = [&](ValueId value) {
    if (value == kNoValue) return -1;
    int32_t& index = number[static_cast<size_t>(value)];
    if (index < 0) {
      index = static_cast<int32_t>(model.tensors.size());
      const Value& from = at(value);
      tflite::Tensor tensor{from.name, from.type, from.shape, from.quantization, from.constant.has_value(), {}};
      if (from.constant) tensor.data = *from.constant;
      model.tensors.push_back(std::move(tensor));
      facts.tensors.push_back(from.source);
    }
    return index;
  };
  const auto indices_of = [&](const std::vector<ValueId>& values) {
    std::vector<int32_t> indices;
    for (const ValueId value : values) indices.push_back(index_of(value));
    return indices;
  };
  model.inputs = indices_of(inputs_);
  for (OperatorId op = first_; op != kNoOperator; op = next(op)) {
    const Operator& from = at(op);
    tflite::Operator made;
    made.code = from.code;
    made.options = from.options;
    made.inputs = indices_of(from.inputs);
    made.outputs = indices_of(from.outputs);
    model.operators.push_back(std::move(made));
    facts.operators.push_back(from.source);
    const bool no_levels =
        std::any_of(from.outputs.begin(), from.outputs.end(), [&](ValueId value) { return !at(value).grid(); });
    const bool is_part = no_levels ? from.code != tflite::OpCode::kDequantize : from.code == tflite::OpCode::kGather;
    if (!is_part) facts.operators.back().op.clear();
  }
  model.outputs = indices_of(outputs_);
  for (size_t j = 0; j < inputs_.size(); ++j) model.signature_inputs.emplace_back(input_names_[j], model.inputs[j]);
  for (size_t j = 0; j < outputs_.size(); ++j) model.signature_outputs.emplace_back(output_names_[j], model.outputs[j]);
  for (tflite::Operator& op : model.operators) op.version = tflite::lowest_version(model, op);
  set_facts(model, facts);
  return model;
}

}  // namespace octet::lowering
