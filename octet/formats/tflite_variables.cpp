#include "octet/formats/tflite_variables.h"

#include "octet/formats/tflite_ops.h"
#include "octet/support/error.h"

namespace octet::tflite {

Tensor& Variables::tensor(int32_t index, const std::string& where) {
  if (index < 0 || static_cast<size_t>(index) >= model_.tensors.size()) {
    throw Error(where, octet::str("there is no tensor ", index, " among ", model_.tensors.size()));
  }
  return model_.tensors[static_cast<size_t>(index)];
}

Variables::Variable& Variables::variable(const std::vector<int32_t>& inputs, const std::string& where) {
  const auto found = inputs.empty() ? by_handle_.end() : by_handle_.find(inputs[0]);
  if (found == by_handle_.end()) throw Error(where, "names no variable of this program");
  return variables_[found->second];
}

void Variables::add(int32_t number, const std::vector<int32_t>& inputs, const std::vector<int32_t>& outputs,
                    const std::string& name, const std::string& where) {
  const size_t wanted_inputs = number == kVarHandle ? 0 : number == kReadVariable ? 1 : 2;
  const size_t wanted_outputs = number == kAssignVariable ? 0 : 1;
  if (inputs.size() != wanted_inputs || outputs.size() != wanted_outputs) {
    throw expected(where, "inputs and outputs", octet::str(wanted_inputs, " and ", wanted_outputs),
                   octet::str(inputs.size(), " and ", outputs.size()));
  }
  if (number == kVarHandle) {
    Tensor& handle = tensor(outputs[0], where);
    handle = Tensor{handle.name, Type::kInt32, {0}, {}, true, {}};  // the program has no use for it
    const auto [known, is_new] = by_name_.try_emplace(name, variables_.size());
    if (is_new) variables_.push_back({name});
    by_handle_[outputs[0]] = known->second;
    return;
  }
  Variable& of = variable(inputs, where);
  if (number == kReadVariable) {
    const Tensor& value = tensor(outputs[0], where);
    if (of.now < 0) {
      of.input = of.now = outputs[0];
      return;
    }
    require_same(of, tensor(of.now, where), value);
    read_into_[outputs[0]] = of.now;
    return;
  }
  std::vector<int32_t> assigned = {inputs[1]};
  follow(assigned);
  const Tensor& value = tensor(assigned[0], where);
  if (of.now >= 0) require_same(of, tensor(of.now, where), value);
  of.now = assigned[0];
  of.is_assigned = true;
}

void Variables::require_same(const Variable& of, const Tensor& a, const Tensor& b) const {
  if (a.type == b.type && a.shape == b.shape) return;
  const auto text = [](const Tensor& tensor) {
    return octet::str(type_name(tensor.type), "[", join(", ", tensor.shape), "]");
  };
  throw expected(octet::str(file_, ": variable '", of.name, "'"), "value", text(a), text(b));
}

void Variables::follow(std::vector<int32_t>& tensors) const {
  for (int32_t& index : tensors) {
    const auto found = read_into_.find(index);
    if (found != read_into_.end()) index = found->second;
  }
}

void Variables::finish() {
  follow(model_.outputs);
  for (const Variable& each : variables_) {
    const auto initial = initial_.find(each.name);
    if (initial != initial_.end() && each.input >= 0) {
      require_same(each, model_.tensors[static_cast<size_t>(each.input)], initial->second);
    }
    if (!each.is_assigned && each.input >= 0 && initial != initial_.end()) {  // never changes
      Tensor& value = model_.tensors[static_cast<size_t>(each.input)];
      value.is_constant = true;
      value.data = initial->second.data;
      continue;
    }
    State state{each.name, each.input, each.is_assigned ? each.now : -1, {}};
    if (initial != initial_.end()) state.data = initial->second.data;
    if (state.input >= 0) {
      model_.inputs.push_back(state.input);
      if (!each.name.empty()) model_.tensors[static_cast<size_t>(state.input)].name = each.name;
    }
    if (state.output >= 0) model_.outputs.push_back(state.output);
    if (state.input >= 0 || state.output >= 0) model_.states.push_back(std::move(state));
  }
}

}  // namespace octet::tflite
