#include "octet/formats/pt2_arguments.h"

#include <algorithm>
#include <cmath>

#include "octet/formats/json.h"
#include "octet/support/error.h"

namespace octet::pt2 {
namespace {

using nlohmann::json;

constexpr int64_t kPositional = 1;
constexpr int64_t kKeyword = 2;

c10::TypePtr without_optional(const c10::TypePtr& type) {
  const auto optional = type->cast<c10::OptionalType>();
  return optional ? optional->getElementType() : type;
}

class ArgumentWriter {
 public:
  ArgumentWriter(const Node& call, const c10::Argument& formal, const NameOfValue& name_of,
                 const SchemaVersion& version)
      : formal_(formal), name_of_(name_of), version_(version), where_(call.where()) {}

  json write(const Arg& arg) const {
    if (arg.is_none()) return {{"as_none", true}};
    const c10::TypePtr type = without_optional(formal_.real_type());
    if (const auto list = type->cast<c10::ListType>()) return list_json(arg, list->getElementType());
    if (arg.is_list()) fail("is a list");
    if (arg.is_node()) {
      if (type->kind() == c10::TypeKind::TensorType) return tensor_argument_json(name_of_(*arg.node()));
      fail("is a number that the program computes");
    }
    return scalar_json(arg.constant(), *type);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(where_, "argument '" + formal_.name() + "' " + what + ", which cannot be written to a .pt2");
  }

  json number_json(const c10::IValue& value) const {
    if (value.isBool()) return {{"as_bool", value.toBool()}};
    if (value.isInt()) return {{"as_int", value.toInt()}};
    if (value.isDouble()) return {{"as_float", json_double(value.toDouble())}};
    if (value.isComplexDouble() && version_.is_current()) {
      const c10::complex<double> number = value.toComplexDouble();
      return {{"as_complex", {{"real", json_double(number.real())}, {"imag", json_double(number.imag())}}}};
    }
    fail(octet::str("is of type ", value.tagKind()));
  }

  json scalar_json(const c10::IValue& value, const c10::Type& type) const {
    switch (type.kind()) {
      case c10::TypeKind::ScalarTypeType: {
        const auto code = code_of_dtype(static_cast<at::ScalarType>(value.toInt()), version_);
        if (!code) fail(octet::str("is the type ", static_cast<at::ScalarType>(value.toInt())));
        return {{"as_scalar_type", *code}};
      }
      case c10::TypeKind::MemoryFormatType: {
        const auto code = code_of_memory_format(static_cast<at::MemoryFormat>(value.toInt()));
        if (!code) fail("is an unknown memory format");
        return {{"as_memory_format", *code}};
      }
      case c10::TypeKind::LayoutType:
        if (static_cast<at::Layout>(value.toInt()) != at::kStrided) fail("is a layout other than strided");
        return {{"as_layout", kStridedLayout}};
      case c10::TypeKind::DeviceObjType:
        return {{"as_device", {{"type", "cpu"}}}};  // it is loaded where its reader wants it
      case c10::TypeKind::StringType:
        if (!value.isString()) fail("is no text");
        return {{"as_string", value.toStringRef()}};
      case c10::TypeKind::FloatType:
        if (value.isInt()) return {{"as_float", static_cast<double>(value.toInt())}};
        return number_json(value);
      default:
        return number_json(value);
    }
  }

  static std::vector<Arg> elements(const Arg& arg) {
    if (arg.is_list()) return arg.list();
    std::vector<Arg> all;
    for (const c10::IValue& element : arg.constant().toListRef()) all.emplace_back(element);
    return all;
  }

  json list_json(const Arg& arg, const c10::TypePtr& element_type) const {
    if (arg.is_node()) {
      if (without_optional(element_type)->kind() != c10::TypeKind::TensorType)
        fail("is a list that the program computes");
      fail("is a list of tensors that another operator gives");
    }
    if (arg.is_constant() && !arg.constant().isList()) fail("is no list");
    const std::vector<Arg> all = elements(arg);
    if (without_optional(element_type)->kind() == c10::TypeKind::TensorType) return tensors_json(all);
    json values = json::array();
    for (const Arg& element : all) {
      if (!element.is_constant()) fail("holds a number that the program computes");
      values.push_back(plain_json(element.constant(), element_type->kind()));
    }
    switch (element_type->kind()) {
      case c10::TypeKind::FloatType:
        return {{"as_floats", values}};
      case c10::TypeKind::BoolType:
        return {{"as_bools", values}};
      case c10::TypeKind::StringType:
        return {{"as_strings", values}};
      case c10::TypeKind::NumberType:
        return {{any_double(all) ? "as_floats" : "as_ints", values}};
      default:
        return {{"as_ints", values}};
    }
  }

  static bool any_double(const std::vector<Arg>& all) {
    return std::any_of(all.begin(), all.end(), [](const Arg& element) { return element.constant().isDouble(); });
  }

  json plain_json(const c10::IValue& value, c10::TypeKind kind) const {
    if (kind == c10::TypeKind::StringType && value.isString()) return value.toStringRef();
    if (kind == c10::TypeKind::BoolType && value.isBool()) return value.toBool();
    if (kind == c10::TypeKind::FloatType && value.isInt()) return static_cast<double>(value.toInt());
    if (value.isInt()) return value.toInt();
    if (value.isDouble()) {
      if (!std::isfinite(value.toDouble()) && !version_.is_current()) fail("holds an infinity among numbers");
      return json_double(value.toDouble());
    }
    fail(octet::str("holds a ", value.tagKind()));
  }

  json tensors_json(const std::vector<Arg>& all) const {
    const bool optional = std::any_of(all.begin(), all.end(), [](const Arg& element) { return element.is_none(); });
    json values = json::array();
    for (const Arg& element : all) {
      if (!element.is_none() && !element.is_node()) fail("holds a number among tensors");
      if (!optional) {
        values.push_back({{"name", name_of_(*element.node())}});
      } else if (element.is_none()) {
        values.push_back({{"as_none", true}});
      } else {
        values.push_back(tensor_argument_json(name_of_(*element.node())));
      }
    }
    return {{optional ? "as_optional_tensors" : "as_tensors", values}};
  }

  const c10::Argument& formal_;
  const NameOfValue& name_of_;
  const SchemaVersion& version_;
  std::string where_;
};

bool is_default(const Arg& arg, const c10::Argument& formal) {
  return formal.default_value() && arg.is_constant() && arg.constant() == *formal.default_value();
}

}  // namespace

json tensor_argument_json(const std::string& name) { return {{"as_tensor", {{"name", name}}}}; }

json call_inputs_json(const Node& call, const NameOfValue& name_of, const SchemaVersion& version) {
  const std::vector<c10::Argument>& formals = call.op().schema().arguments();
  size_t positional = 0;  // how many are written by position
  for (size_t i = 0; i < formals.size(); ++i) {
    if (!formals[i].kwarg_only() && !is_default(call.arg(i), formals[i])) positional = i + 1;
  }
  json inputs = json::array();
  for (size_t i = 0; i < formals.size(); ++i) {
    const bool keyword = formals[i].kwarg_only();
    if (keyword ? is_default(call.arg(i), formals[i]) : i >= positional) continue;
    json input = {{"name", formals[i].name()},
                  {"arg", ArgumentWriter(call, formals[i], name_of, version).write(call.arg(i))}};
    if (version.is_current()) input["kind"] = keyword ? kKeyword : kPositional;
    inputs.push_back(std::move(input));
  }
  return inputs;
}

}  // namespace octet::pt2
