#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "octet/formats/pt2_schema.h"
#include "octet/graph/node.h"

namespace octet::pt2 {

/// Values of the program's symbolic sizes: those it was traced with, or those that a given batch asks for.
class Symbols {
 public:
  /// With `batch` above 0, dimension 0 of every user input that is a symbol takes this size; with `input_sizes`, one
  /// list a user input, every dimension does. Throws octet::Error where it is an expression that no whole size of its
  /// symbol brings to that, and where a dimension is no symbol and another size.
  Symbols(const Program& program, int64_t batch, const std::vector<std::vector<int64_t>>& input_sizes = {});

  /// The value; throws octet::Error where it depends on data.
  c10::IValue evaluate(const SymValue& value) const;
  /// The value of a named or constant argument.
  c10::IValue evaluate(const Symbol& symbol, const std::string& where) const;
  /// Shape and type of a tensor value; nullopt where its sizes depend on data.
  std::optional<TensorMeta> meta(const std::string& tensor) const;

 private:
  struct Input {
    std::string name;
    const std::vector<SymValue>* sizes;
  };

  void learn(const SymValue& value);
  void set_sizes(const std::vector<Input>& inputs, const std::vector<std::vector<int64_t>>& wanted);
  void set_size(const SymValue& size, size_t dimension, int64_t to);

  std::optional<TensorMeta> meta_of(const TensorValue& value) const;

  const Program& program_;
  // What was evaluated before: many arguments and tensors may name one expression.
  mutable std::unordered_map<std::string, c10::IValue> evaluated_;
  mutable std::unordered_map<std::string, std::optional<TensorMeta>> metas_;
  std::map<std::string, int64_t> values_;
  bool specialised_ = false;  // hints no longer hold
};

}  // namespace octet::pt2
