#include <c10/core/Scalar.h>

#include "octet/graph/graph.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using c10::TypeKind;

bool is_symbolic_or_plain_int(TypeKind kind) { return kind == TypeKind::IntType || kind == TypeKind::SymIntType; }
// Types of values that a node may give: tensors, lists of them, and numbers read from shapes.
bool can_be_computed(TypeKind kind) {
  return kind == TypeKind::TensorType || kind == TypeKind::ListType || kind == TypeKind::NumberType ||
         kind == TypeKind::IntType || kind == TypeKind::SymIntType || kind == TypeKind::FloatType ||
         kind == TypeKind::SymFloatType || kind == TypeKind::BoolType || kind == TypeKind::SymBoolType;
}
bool is_float(TypeKind kind) { return kind == TypeKind::FloatType || kind == TypeKind::SymFloatType; }

struct Binder {
  const Op& op;
  const c10::Argument& argument;
  const std::string& where;

  Error mismatch(const Arg& got) const {
    return expected(where, str("argument '", argument.name(), "' of ", op.text()), argument.type()->repr_str(),
                    got.text());
  }

  // A constant of the schema's type, or an error. `type` is the schema's type with optionals peeled off.
  c10::IValue constant(const c10::IValue& value, const c10::TypePtr& type, int32_t fixed_length) const {
    const TypeKind kind = type->kind();
    if (kind == TypeKind::ListType) return list(value, type, fixed_length);
    if (is_symbolic_or_plain_int(kind)) {
      if (value.isInt()) return value;
      if (value.isBool()) return static_cast<int64_t>(value.toBool());
    } else if (is_float(kind)) {
      if (value.isDouble()) return value;
      if (value.isInt()) return static_cast<double>(value.toInt());
    } else if (kind == TypeKind::NumberType) {
      if (value.isScalar()) return value;
    } else if (kind == TypeKind::BoolType || kind == TypeKind::SymBoolType) {
      if (value.isBool()) return value;
      if (value.isInt() && (value.toInt() == 0 || value.toInt() == 1)) return value.toInt() == 1;
    } else if (kind == TypeKind::StringType) {
      if (value.isString()) return value;
    } else if (kind == TypeKind::TensorType) {
      if (value.isTensor() || value.isScalar()) return value;
    } else if (kind == TypeKind::DeviceObjType) {
      if (value.isDevice()) return value;
      if (value.isString()) return c10::Device(value.toStringRef());
    } else if (kind == TypeKind::ScalarTypeType || kind == TypeKind::LayoutType || kind == TypeKind::MemoryFormatType) {
      if (value.isInt()) return value;
    } else {
      return value;  // generators, streams: the kernel checks
    }
    throw mismatch(Arg(value));
  }

  c10::IValue list(const c10::IValue& value, const c10::TypePtr& type, int32_t fixed_length) const {
    const c10::TypePtr element = type->expectRef<c10::ListType>().getElementType();
    std::vector<c10::IValue> elements;
    if (value.isList()) {
      for (const c10::IValue& item : value.toListRef()) elements.push_back(item);
    } else if (value.isTuple()) {
      for (const c10::IValue& item : value.toTupleRef().elements()) elements.push_back(item);
    } else if (fixed_length > 0 && value.isScalar()) {
      elements.assign(static_cast<size_t>(fixed_length), value);  // int given for int[2]
    } else {
      throw mismatch(Arg(value));
    }
    if (fixed_length > 0 && elements.size() == 1) elements.assign(static_cast<size_t>(fixed_length), elements[0]);
    return typed_list(elements, element);
  }

  c10::IValue typed_list(const std::vector<c10::IValue>& elements, const c10::TypePtr& element) const {
    const TypeKind kind = element->kind();
    if (is_symbolic_or_plain_int(kind)) {
      std::vector<int64_t> ints;
      for (const auto& item : elements) ints.push_back(constant(item, element, 0).toInt());
      return ints;
    }
    if (is_float(kind)) {
      std::vector<double> doubles;
      for (const auto& item : elements) doubles.push_back(constant(item, element, 0).toDouble());
      return doubles;
    }
    if (kind == TypeKind::BoolType) {
      c10::List<bool> bools;
      for (const auto& item : elements) bools.push_back(constant(item, element, 0).toBool());
      return bools;
    }
    c10::impl::GenericList generic(element);
    for (const auto& item : elements) {
      if (element->kind() == TypeKind::OptionalType) {
        generic.push_back(item);
      } else {
        generic.push_back(constant(item, element, 0));
      }
    }
    return generic;
  }

  Arg bind(const Arg& given) const {
    c10::TypePtr type = argument.type();
    if (type->kind() == TypeKind::OptionalType) {
      if (given.is_none()) return given;
      type = type->expectRef<c10::OptionalType>().getElementType();
    }
    if (given.is_node()) {
      if (!can_be_computed(type->kind())) throw mismatch(given);
      return given;
    }
    const int32_t fixed_length = argument.N().value_or(0);
    if (given.is_constant()) {
      if (given.is_none() && type->kind() == TypeKind::TensorType) throw mismatch(given);
      return Arg(constant(given.constant(), type, fixed_length));
    }
    if (type->kind() != TypeKind::ListType) throw mismatch(given);
    c10::TypePtr element_type = type->expectRef<c10::ListType>().getElementType();
    bool has_nodes = false;
    given.for_each_node([&](Node*) { has_nodes = true; });
    std::vector<c10::IValue> constants;
    std::vector<Arg> elements;
    const bool optional = element_type->kind() == TypeKind::OptionalType;
    const c10::TypePtr inner = optional ? element_type->expectRef<c10::OptionalType>().getElementType() : element_type;
    for (const Arg& element : given.list()) {
      if (element.is_list()) throw mismatch(given);
      if (element.is_node()) {
        elements.push_back(element);
      } else if (element.is_none() && optional) {
        constants.push_back(element.constant());
        elements.push_back(element);
      } else {
        constants.push_back(constant(element.constant(), inner, 0));
        elements.push_back(Arg(constants.back()));
      }
    }
    return has_nodes ? Arg(std::move(elements)) : Arg(typed_list(constants, element_type));
  }
};

}  // namespace

Arg bind_argument(const Op& op, size_t index, const Arg& value, const std::string& where) {
  return Binder{op, op.schema().arguments().at(index), where}.bind(value);
}

std::vector<Arg> bind_arguments(const Op& op, std::vector<Arg> args, NamedArgs named, const std::string& where) {
  const auto& arguments = op.schema().arguments();
  if (args.size() > arguments.size()) {
    throw expected(where, "arguments of " + op.text(), str("at most ", arguments.size()), std::to_string(args.size()));
  }
  std::vector<std::optional<Arg>> slots(arguments.size());
  for (size_t i = 0; i < args.size(); ++i) slots[i] = std::move(args[i]);
  for (auto& [name, value] : named) {
    const int index = op.argument_index(name);
    if (index < 0)
      throw Error(where, octet::str(op.text(), " has no argument '", name, "'; its schema is ", op.schema()));
    if (slots[index]) throw Error(where, str("argument '", name, "' of ", op.text(), " is given twice"));
    slots[index] = std::move(value);
  }
  std::vector<Arg> bound;
  bound.reserve(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (slots[i]) {
      bound.push_back(Binder{op, arguments[i], where}.bind(*slots[i]));
    } else if (arguments[i].default_value()) {
      bound.push_back(Arg(*arguments[i].default_value()));
    } else {
      throw Error(where, str("argument '", arguments[i].name(), "' of ", op.text(), " is missing"));
    }
  }
  return bound;
}

}  // namespace octet
