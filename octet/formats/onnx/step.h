#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "octet/formats/onnx/builder.h"
#include "octet/formats/onnx/schema.h"
#include "octet/formats/onnx/tensor.h"
#include "octet/support/error.h"

namespace octet::onnx {

/// One ONNX node while it becomes ATen operators: its inputs, its attributes, and what it gives.
class Step {
 public:
  Step(const NodeProto& node, std::vector<Value> inputs, int64_t opset, Builder& builder, TensorReader& tensors,
       Budget& budget);

  int64_t opset() const { return opset_; }
  std::string_view op_type() const { return node_.op_type; }

  // --- inputs

  size_t count() const { return inputs_.size(); }
  bool has(size_t index) const { return index < inputs_.size() && inputs_[index].defined(); }
  /// Throws octet::Error for one that is left out.
  const Value& in(size_t index) const;
  /// An input that is a layer's parameter, under its module's name where its exporter has numbered it only.
  Value parameter(size_t index, const char* leaf) const;
  /// Throws octet::Error where one is left out.
  std::vector<Value> all() const;
  std::vector<int64_t> sizes(size_t index) const { return builder_.sizes(in(index)); }
  std::vector<int64_t> sizes(const Value& value) const { return builder_.sizes(value); }
  int64_t rank(size_t index) const { return builder_.rank(in(index)); }
  at::ScalarType dtype(size_t index) const { return builder_.dtype(in(index)); }
  at::ScalarType dtype(const Value& value) const { return builder_.dtype(value); }
  /// The numbers of an input; octet::Error where the program computes them. `what`: "axes".
  at::Tensor known(size_t index, const char* what) const;
  std::vector<int64_t> integers(size_t index, const char* what) const;
  double number(size_t index, const char* what) const;
  /// A dimension of `rank`, counted from either end.
  int64_t axis(int64_t axis, int64_t rank) const;
  std::vector<int64_t> axes(std::vector<int64_t> axes, int64_t rank) const;

  // --- attributes

  bool has_attribute(std::string_view name) const { return find(name) != nullptr; }
  int64_t integer(std::string_view name, int64_t missing) const;
  double number(std::string_view name, double missing) const;
  std::string text(std::string_view name, std::string_view missing) const;
  std::vector<int64_t> integers(std::string_view name, std::vector<int64_t> missing = {}) const;
  std::vector<double> numbers(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;
  at::Tensor tensor(std::string_view name) const;

  // --- what it becomes

  Value call(std::string_view op, const std::vector<Operand>& operands) { return builder_.call(place_, op, operands); }
  std::vector<Value> call_several(std::string_view op, const std::vector<Operand>& operands) {
    return builder_.call_several(place_, op, operands);
  }
  Value call_unfolded(std::string_view op, const std::vector<Operand>& operands) {
    return builder_.call_unfolded(place_, op, operands);
  }
  /// Numbers that octet works out itself; charged.
  Value constant(const at::Tensor& tensor, std::string name = "") const;
  /// The same parameter, worked on while the file is read: turned, split, scaled. It learns as the first did.
  Value derived(const Value& from, const at::Tensor& tensor) const;
  Value as_buffer(const Value& value) { return builder_.as_buffer(value); }
  void charge_constant(const std::vector<int64_t>& sizes, at::ScalarType type) const {
    builder_.charge_constant(sizes, type, place_.where);
  }

  void give(Value value) { give(0, std::move(value)); }
  void give(size_t output, Value value);
  size_t outputs() const { return node_.outputs.size(); }
  /// True where somebody may read output `index`.
  bool wants(size_t index) const { return index < node_.outputs.size() && !node_.outputs[index].empty(); }
  std::string output_name(size_t index) const { return std::string(node_.outputs.at(index)); }
  const std::vector<Value>& given() const { return given_; }

  // --- errors

  const std::string& where() const { return place_.where; }
  /// Throws octet::Error: "[Resize 'up'] mode: expected nearest, got cubic; way out".
  [[noreturn]] void refuse(const std::string& what, const std::string& wanted, const std::string& got,
                           const std::string& way_out = "") const;
  [[noreturn]] void refuse(const std::string& message, const std::string& way_out = "") const;

 private:
  const AttributeProto* find(std::string_view name) const;
  const AttributeProto* find(std::string_view name, AttributeKind kind) const;

  const NodeProto& node_;
  std::vector<Value> inputs_;
  int64_t opset_;
  Builder& builder_;
  TensorReader& tensors_;
  Budget& budget_;
  Place place_;
  std::vector<Value> given_;
};

}  // namespace octet::onnx
