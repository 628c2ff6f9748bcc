#include "octet/formats/onnx/builder.h"

#include <ATen/Functions.h>
#include <ATen/ScalarOps.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_strided.h>

#include <algorithm>
#include <optional>

#include "octet/formats/dtype.h"
#include "octet/formats/raw_tensor.h"
#include "octet/graph/call_check.h"
#include "octet/graph/libtorch_error.h"
#include "octet/support/error.h"

namespace octet::onnx {
namespace {

constexpr uint64_t kNodeBytes = 1024;  // of a call with its arguments
constexpr uint64_t kMostExample = uint64_t{64}
                                  << 20;  // bytes of a value; of a larger one only the sizes are worked out

bool is_large(const Value& value, const std::string& where) {
  return !value.known() && checked_bytes(value.node->sizes(), value.node->meta()->dtype, where) > kMostExample;
}

at::Tensor example_of(const Value& value, const std::string& where) {
  if (value.known()) return value.constant;
  const at::TensorOptions options(value.node->meta()->dtype);
  return at::zeros(value.node->sizes(), is_large(value, where) ? options.device(at::kMeta) : options);
}

at::Tensor without_data(const at::Tensor& tensor) {
  return at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(at::kMeta));
}

uint64_t bytes_of(const std::vector<at::Tensor>& tensors) {
  uint64_t bytes = 0;
  for (const at::Tensor& tensor : tensors) bytes += tensor.nbytes();
  return bytes;
}

// Whole numbers have no quotient by the zeros that stand for what is not known yet.
bool divides(std::string_view op) {
  return op == "aten.div.Tensor_mode" || op == "aten.remainder.Tensor" || op == "aten.fmod.Tensor";
}

// The operands as values alone, those of lists too.
std::vector<Value> values_of(const std::vector<Operand>& operands) {
  std::vector<Value> all;
  for (const Operand& operand : operands) {
    if (operand.value() != nullptr) all.push_back(*operand.value());
    if (operand.values() != nullptr) all.insert(all.end(), operand.values()->begin(), operand.values()->end());
  }
  return all;
}

// As the schema wants it; `make` says what a value becomes.
template <typename Make>
std::vector<Arg> arguments(const std::vector<Operand>& operands, const Make& make) {
  std::vector<Arg> args;
  for (const Operand& operand : operands) {
    if (operand.value() != nullptr) {
      args.push_back(make(*operand.value()));
    } else if (operand.values() != nullptr) {
      std::vector<Arg> list;
      for (const Value& value : *operand.values()) list.push_back(make(value));
      args.emplace_back(std::move(list));
    } else {
      args.push_back(*operand.constant());
    }
  }
  return args;
}

std::vector<at::Tensor> tensors_of(const c10::Stack& results) {
  std::vector<at::Tensor> tensors;
  for (const c10::IValue& value : results) {
    if (value.isTensor()) {
      tensors.push_back(value.toTensor());
    } else if (value.isTensorList()) {
      for (const at::Tensor& each : value.toTensorVector()) tensors.push_back(each);
    }
  }
  return tensors;
}

c10::Stack stack_of(const Op& op, const std::vector<Arg>& bound) {
  c10::Stack stack;
  for (size_t i = 0; i < bound.size(); ++i) {
    c10::IValue value = bound[i].constant();
    const c10::TypeKind kind = op.schema().arguments()[i].real_type()->kind();
    if (kind == c10::TypeKind::TensorType && value.isScalar()) {
      value = at::native::wrapped_scalar_tensor(value.toScalar());
    }
    stack.push_back(std::move(value));
  }
  return stack;
}

std::vector<at::Tensor> run_once(const Op& op, c10::Stack stack, const std::string& where) {
  const at::NoGradGuard no_grad;
  check_call(op, stack, where);
  try {
    op.handle().callBoxed(stack);
  } catch (const Error& error) {
    throw error.where().empty() ? Error(where, error.what()) : error;
  } catch (const std::exception& error) {
    std::string text = plain_message(error);
    std::replace(text.begin(), text.end(), '\n', ' ');
    throw Error(where, str(op.text(), ": ", text));
  }
  return tensors_of(stack);
}

// What a call would give, by its sizes alone, before it takes any memory; nothing where ATen cannot tell.
std::optional<std::vector<at::Tensor>> foreseen(const Op& op, c10::Stack stack) {
  const at::NoGradGuard no_grad;
  try {
    for (c10::IValue& value : stack) {
      if (value.isTensor() && value.toTensor().defined() &&
          !value.toTensor().unsafeGetTensorImpl()->is_wrapped_number())
        value = without_data(value.toTensor());
      if (!value.isTensorList()) continue;
      c10::List<at::Tensor> list;
      for (const at::Tensor& each : value.toTensorVector()) list.push_back(without_data(each));
      value = std::move(list);
    }
    op.handle().callBoxed(stack);
    std::vector<at::Tensor> results = tensors_of(stack);
    const auto has_no_data = [](const at::Tensor& tensor) { return tensor.defined() && tensor.is_meta(); };
    if (!std::all_of(results.begin(), results.end(), has_no_data)) return std::nullopt;
    return results;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

TensorMeta meta_of(const at::Tensor& tensor) { return {tensor.scalar_type(), tensor.sizes().vec()}; }

}  // namespace

std::string attribute_name(std::string_view name) {
  std::string made;
  for (const char c : name) {
    const bool keeps = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    if (keeps) {
      made += c;
    } else if (c == '.' && !made.empty() && made.back() != '.') {
      made += c;
    } else if (!made.empty() && made.back() != '.') {  // "/features/Constant" is "features_Constant"
      made += '_';
    }
  }
  while (!made.empty() && made.back() == '.') made.pop_back();
  return made.empty() ? "constant" : made;
}

Value Builder::call(const Place& place, std::string_view op, const std::vector<Operand>& operands) {
  return run(place, op, operands, false, true).at(0);
}

std::vector<Value> Builder::call_several(const Place& place, std::string_view op,
                                         const std::vector<Operand>& operands) {
  return run(place, op, operands, true, true);
}

Value Builder::call_unfolded(const Place& place, std::string_view op, const std::vector<Operand>& operands) {
  return run(place, op, operands, false, false).at(0);
}

std::vector<Value> Builder::run(const Place& place, std::string_view op_text, const std::vector<Operand>& operands,
                                bool several, bool fold) {
  const Op op = Op::find(op_text);
  const std::vector<Value> values = values_of(operands);
  const auto example = [&](const Value& value) { return Arg(example_of(value, place.where)); };
  std::vector<Arg> examples = arguments(operands, example);
  if (divides(op_text) && operands.at(1).value() != nullptr && !operands[1].value()->known())
    examples[1] = Arg(at::ones_like(example_of(*operands[1].value(), place.where)));
  c10::Stack stack = stack_of(op, bind_arguments(op, std::move(examples), {}, place.where));
  const bool folds =
      fold && std::all_of(values.begin(), values.end(), [](const Value& value) { return value.known(); });
  const std::optional<std::vector<at::Tensor>> sizes_only = foreseen(op, stack);
  const bool reads_large =
      std::any_of(values.begin(), values.end(), [&](const Value& value) { return is_large(value, place.where); });
  const bool is_large_call = !folds && (reads_large || (sizes_only && bytes_of(*sizes_only) > kMostExample));
  if (is_large_call && !sizes_only)
    throw Error(place.where, "reads values of more than 64 MiB, of which octet cannot work out what it makes");
  if (folds && sizes_only) budget_.charge(bytes_of(*sizes_only), "its constants");
  const std::vector<at::Tensor> results = is_large_call ? *sizes_only : run_once(op, std::move(stack), place.where);
  if (folds && !sizes_only) budget_.charge(bytes_of(results), "its constants");
  if (results.empty()) throw Error(place.where, op.text() + " gives no tensor");

  std::vector<Value> made;
  if (folds) {
    for (const at::Tensor& tensor : results) made.push_back({nullptr, tensor, place.name, false});
    // A view, a cast or a turn of a parameter is one; a sum of two is not.
    if (values.size() == 1 && results.size() == 1) made[0].learns = values[0].learns;
    if (values.size() == 1 && results.size() == 1 && !values[0].name.empty()) made[0].name = values[0].name;
    return made;
  }

  budget_.charge(kNodeBytes, "its program");
  Node* whole = module_.graph().call(op, arguments(operands, [&](const Value& value) { return Arg(node_of(value)); }),
                                     {}, place.name);
  if (!place.module_path.empty()) whole->notes()[kModulePathNote] = place.module_path;
  if (!several) {
    whole->set_meta(meta_of(results[0]));
    return {{whole, {}, "", false}};
  }
  std::vector<TensorMeta> metas;
  for (const at::Tensor& tensor : results) metas.push_back(meta_of(tensor));
  whole->set_element_metas(metas);
  for (size_t i = 0; i < results.size(); ++i) {
    budget_.charge(kNodeBytes, "its program");
    Node* element = module_.graph().get_item(whole, static_cast<int64_t>(i));
    element->set_meta(metas[i]);
    made.push_back({element, {}, "", false});
  }
  return made;
}

Node* Builder::node_of(const Value& value) {
  if (value.node != nullptr) return value.node;
  return read(value, value.learns ? AttrKind::kParameter : AttrKind::kConstant);
}

Value Builder::as_buffer(const Value& value) {
  return value.known() ? Value{read(value, AttrKind::kBuffer), {}, "", false} : value;
}

// A dotted name that is neither taken nor a module of others, below no tensor.
std::string Builder::free_name(const std::string& wanted) {
  std::string name = attribute_name(wanted);
  bool clashes = modules_.count(name) > 0;
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    clashes = clashes || module_.has_attr(name.substr(0, dot));
  }
  if (clashes) std::replace(name.begin(), name.end(), '.', '_');
  name = module_.free_name(name);
  while (modules_.count(name) > 0) name = module_.free_name(name + "_");
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    modules_.insert(name.substr(0, dot));
  }
  return name;
}

Node* Builder::read(const Value& value, AttrKind kind) {
  const auto key = std::pair(static_cast<const void*>(value.constant.unsafeGetTensorImpl()), value.name);
  if (const auto known = read_.find(key); known != read_.end()) return known->second;
  const std::string name = free_name(value.name);
  charge_name(budget_, name);
  budget_.charge(kNodeBytes, "its program");
  at::Tensor tensor = value.constant.detach().contiguous();
  if (tensor.storage().nbytes() != tensor.nbytes()) tensor = tensor.clone();
  if (kind == AttrKind::kParameter && tensor.is_same(value.constant)) tensor = tensor.alias();
  if (kind == AttrKind::kParameter) tensor.set_requires_grad(tensor.is_floating_point());
  module_.set_attr(name, tensor, kind);
  Node* node = module_.graph().get_attr(name);
  node->set_meta(meta_of(tensor));
  keep_[node] = value.constant;
  return read_[key] = node;
}

std::vector<int64_t> Builder::sizes(const Value& value) const {
  return value.node != nullptr ? value.node->sizes() : value.constant.sizes().vec();
}

at::ScalarType Builder::dtype(const Value& value) const {
  return value.node != nullptr ? value.node->meta()->dtype : value.constant.scalar_type();
}

void Builder::charge_constant(const std::vector<int64_t>& wanted, at::ScalarType type, const std::string& where) {
  budget_.charge(checked_bytes(wanted, type, where), "a constant that it asks for");
}

}  // namespace octet::onnx
