#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "octet/formats/tflite.h"

namespace octet::tflite {

/// What a `.tflite` keeps between its runs, while it is read: variables become an input and an output each, and the
/// operators on them vanish. A value that is read behind an assignment is the assigned one.
class Variables {
 public:
  // BuiltinOperator of the schema.
  static constexpr int32_t kCallOnce = 129, kVarHandle = 142, kReadVariable = 143, kAssignVariable = 144;
  static bool is_operator(int32_t number) {
    return number == kCallOnce || (number >= kVarHandle && number <= kAssignVariable);
  }

  /// Of this model, whose tensors, inputs and outputs are read already.
  Variables(const std::string& file, Model& model) : file_(file), model_(model) {}

  /// One of the three operators on variables; `name` is a VAR_HANDLE's. Throws octet::Error naming `where`.
  void add(int32_t number, const std::vector<int32_t>& inputs, const std::vector<int32_t>& outputs,
           const std::string& name, const std::string& where);
  /// The value before the first run.
  void begin(const std::string& name, Tensor value) { initial_[name] = std::move(value); }
  /// Puts in the place of each tensor that a variable was read into what it holds.
  void follow(std::vector<int32_t>& tensors) const;
  /// Adds the inputs, outputs and states to the model. Throws octet::Error naming a variable whose values do not fit
  /// each other.
  void finish();

 private:
  struct Variable {
    std::string name;
    int32_t input = -1;
    int32_t now = -1;  // the tensor with its value
    bool is_assigned = false;
  };
  Variable& variable(const std::vector<int32_t>& inputs, const std::string& where);
  Tensor& tensor(int32_t index, const std::string& where);
  void require_same(const Variable& of, const Tensor& a, const Tensor& b) const;

  const std::string& file_;
  Model& model_;
  std::vector<Variable> variables_;  // in the order of their handles
  std::map<std::string, size_t> by_name_;
  std::map<int32_t, size_t> by_handle_;
  std::map<int32_t, int32_t> read_into_;
  std::map<std::string, Tensor> initial_;
};

}  // namespace octet::tflite
