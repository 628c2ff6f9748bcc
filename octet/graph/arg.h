#pragma once

#include <ATen/core/ivalue.h>

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "octet/support/api.h"

namespace octet {

class Node;

/// An argument of a node: another node's value, a constant, or a list that holds such.
///
/// Constants are c10::IValue; None is the IValue of no value. A list without nodes in it is stored as one typed
/// constant
/// (`int[]` as c10::List<int64_t>) once a schema is known.
class OCTET_API Arg {
 public:
  Arg() = default;  ///< None
  Arg(Node* node) : value_(node) {}
  Arg(const Node*) = delete;  // would be read as a bool
  Arg(c10::IValue constant) : value_(std::move(constant)) {}
  Arg(std::vector<Arg> list) : value_(std::move(list)) {}
  Arg(int64_t value) : value_(c10::IValue(value)) {}
  Arg(int value) : value_(c10::IValue(static_cast<int64_t>(value))) {}
  Arg(double value) : value_(c10::IValue(value)) {}
  Arg(bool value) : value_(c10::IValue(value)) {}
  Arg(const char* value) : value_(c10::IValue(std::string(value))) {}
  Arg(const std::string& value) : value_(c10::IValue(value)) {}
  Arg(const std::vector<int64_t>& value) : value_(c10::IValue(value)) {}
  Arg(at::ScalarType value) : value_(c10::IValue(static_cast<int64_t>(value))) {}

  bool is_node() const { return std::holds_alternative<Node*>(value_); }
  bool is_list() const { return std::holds_alternative<std::vector<Arg>>(value_); }
  bool is_constant() const { return std::holds_alternative<c10::IValue>(value_); }
  bool is_none() const { return is_constant() && std::get<c10::IValue>(value_).isNone(); }

  /// The node, or nullptr where the argument is none.
  Node* node() const { return is_node() ? std::get<Node*>(value_) : nullptr; }
  const std::vector<Arg>& list() const { return std::get<std::vector<Arg>>(value_); }
  const c10::IValue& constant() const { return std::get<c10::IValue>(value_); }

  /// Typed reads of constants. An int reads as a double or a number too; a failing read is an octet::Error.
  int64_t to_int() const;
  double to_double() const;
  bool to_bool() const;
  std::string to_string() const;
  std::vector<int64_t> to_ints() const;

  /// Calls `visit` for every node in the argument, lists flattened, in order.
  void for_each_node(const std::function<void(Node*)>& visit) const;
  /// A copy in which every node went through `map`.
  Arg map_nodes(const std::function<Node*(Node*)>& map) const;

  /// In the argument, lists included, `from` becomes `to`.
  void replace_node(const Node* from, Node* to);
  /// The same in element `element` alone where the argument is a list.
  void replace_node(const Node* from, Node* to, size_t element);

  /// As the printer shows it: `%relu`, `[1, 1]`, `None`, `0.1`.
  std::string text() const;

 private:
  std::variant<c10::IValue, Node*, std::vector<Arg>> value_;
};

}  // namespace octet
