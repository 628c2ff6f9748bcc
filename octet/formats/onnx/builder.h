#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <variant>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/budget.h"

namespace octet::onnx {

/// What one of ONNX's values is while the graph is built: a step of the program, or numbers that are known already.
struct Value {
  Node* node = nullptr;
  at::Tensor constant;
  std::string name;     ///< of a constant: what the module is to call it
  bool learns = false;  ///< a constant of floats that an initializer gave, as it is or turned

  bool defined() const { return node != nullptr || constant.defined(); }
  bool known() const { return constant.defined(); }
};

/// What an ATen operator is given: a value, a list of values, or anything that a schema has.
class Operand {
 public:
  Operand(Value value) : held_(std::move(value)) {}  // reads as an argument does
  Operand(std::vector<Value> values) : held_(std::move(values)) {}
  template <typename T>
  requires std::constructible_from<Arg, T> Operand(T&& constant) : held_(Arg(std::forward<T>(constant))) {}

  const Value* value() const { return std::get_if<Value>(&held_); }
  const std::vector<Value>* values() const { return std::get_if<std::vector<Value>>(&held_); }
  const Arg* constant() const { return std::get_if<Arg>(&held_); }

 private:
  std::variant<Value, std::vector<Value>, Arg> held_;
};

/// Where a call stands in the file: for the names of its nodes, and for errors.
struct Place {
  std::string where;        ///< "Conv 'features.0/Conv'"
  std::string name;         ///< of its nodes
  std::string module_path;  ///< of Python's module, where the name says it
};

/// Writes calls of ATen operators into a graph, each run once on zeros so that shapes are known (on no data at all
/// where the values are large), and works out at once what depends on constants alone, charged before it is computed.
class Builder {
 public:
  Builder(GraphModule& module, Budget& budget) : module_(module), budget_(budget) {}

  /// A call with one result. Throws octet::Error naming the place for arguments that the operator refuses.
  Value call(const Place& place, std::string_view op, const std::vector<Operand>& operands);
  /// One with several: a list or a tuple.
  std::vector<Value> call_several(const Place& place, std::string_view op, const std::vector<Operand>& operands);
  /// A call that stays one, although all it reads is known: a dequantize of a weight.
  Value call_unfolded(const Place& place, std::string_view op, const std::vector<Operand>& operands);

  /// The node that gives the value; a constant becomes an attribute of its kind first.
  Node* node_of(const Value& value);
  /// A constant read as a buffer: a BatchNorm's statistics.
  Value as_buffer(const Value& value);

  std::vector<int64_t> sizes(const Value& value) const;
  int64_t rank(const Value& value) const { return static_cast<int64_t>(sizes(value).size()); }
  at::ScalarType dtype(const Value& value) const;

  /// Charges a constant of these sizes before it is made.
  void charge_constant(const std::vector<int64_t>& wanted, at::ScalarType type, const std::string& where);

 private:
  std::vector<Value> run(const Place& place, std::string_view op, const std::vector<Operand>& operands, bool several,
                         bool fold);
  Node* read(const Value& value, AttrKind kind);
  std::string free_name(const std::string& wanted);

  GraphModule& module_;
  Budget& budget_;
  std::map<std::pair<const void*, std::string>, Node*> read_;  // (tensor, name) -> the node that reads it
  std::unordered_set<std::string> modules_;                    // that hold the attributes
  std::map<const Node*, at::Tensor> keep_;                     // tensors that read_ names by their address
};

/// A dotted name whose parts a Python module may have, of what a file calls a tensor.
std::string attribute_name(std::string_view name);

}  // namespace octet::onnx
