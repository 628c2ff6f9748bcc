#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/integer/grid.h"
#include "octet/lowering/constant_data.h"
#include "octet/lowering/facts.h"

namespace octet::lowering {

using integer::Grid;

/// A constant of the graph: integers with their scales, or float32 without.
struct Constant {
  at::Tensor values;
  tflite::Quantization quantization;
  bool is_quantized() const { return !quantization.scale.empty(); }
};

/// A value of a Program: what an operator computes, an input, or a constant. The same as long as the program lives.
enum class ValueId : int32_t {};
/// An optional input that is absent.
inline constexpr ValueId kNoValue{-1};
enum class OperatorId : int32_t {};
/// The producer of inputs and constants; what stands before the first operator and behind the last.
inline constexpr OperatorId kNoOperator{-1};

/// An int8 program while it is made: operators in order of execution, each value with its producer and its readers,
/// both with the node of the graph that they come from. Edits keep this true and cost what they touch, not the length
/// of the program. It becomes a tflite::Model at the end, by to_model().
class Program {
 public:
  struct Value {
    std::string name;  ///< unique
    tflite::Type type = tflite::Type::kFloat32;
    std::vector<int64_t> shape;
    tflite::Quantization quantization;             ///< a scale for each channel is a constant's
    std::optional<std::vector<uint8_t>> constant;  ///< its elements, little-endian
    ValueSource source;                            ///< the node whose value this is; none for steps on the way

    /// Of values with one scale; nullopt for float32, int32 and what has a scale for each channel.
    std::optional<Grid> grid() const;
  };

  struct Operator {
    tflite::OpCode code = tflite::OpCode::kAdd;
    tflite::Options options;
    std::vector<ValueId> inputs;  ///< kNoValue: an optional one that is absent
    std::vector<ValueId> outputs;
    OperatorSource source;
  };

  // New values; names are made unique.
  /// What an operator computes or the program is given: on a grid, or float32.
  ValueId value(const std::string& name, std::vector<int64_t> shape, const std::optional<Grid>& grid);
  /// Of a type without a grid: float32, whole numbers, bool.
  ValueId value(const std::string& name, std::vector<int64_t> shape, tflite::Type type);
  /// Of the type and on the grid of another.
  ValueId value_like(ValueId other, const std::string& name, std::vector<int64_t> shape);
  ValueId constant(const std::string& name, const Constant& constant);
  ValueId constant(const std::string& name, ConstantData constant);
  /// A vector of int32: axes, sizes, permutations. Throws octet::Error where one does not fit.
  ValueId integers(const std::string& name, const std::vector<int64_t>& values);
  /// The same with a shape, row by row.
  ValueId integers(const std::string& name, const std::vector<int64_t>& values, const std::vector<int64_t>& shape);

  // New operators, at the end or before another, from the node that set_source() said last. Each value is computed
  // once; throws octet::Error otherwise.
  OperatorId emit(tflite::OpCode code, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
                  const tflite::Options& options = {});
  OperatorId insert_before(OperatorId next, tflite::OpCode code, std::vector<ValueId> inputs,
                           std::vector<ValueId> outputs, const tflite::Options& options = {});
  void set_source(OperatorSource source) { source_ = std::move(source); }

  void add_input(const std::string& signature_name, ValueId value);
  void add_output(const std::string& signature_name, ValueId value);
  const std::vector<ValueId>& inputs() const { return inputs_; }
  const std::vector<ValueId>& outputs() const { return outputs_; }
  bool is_input(ValueId value) const { return entry(value).is_input; }
  bool is_output(ValueId value) const { return entry(value).is_output; }

  const Value& at(ValueId value) const { return entry(value).value; }
  const Operator& at(OperatorId op) const { return entry(op).op; }
  /// Elements of an int32 constant.
  std::vector<int64_t> integers_of(ValueId value) const;

  /// The operator that computes it; kNoOperator for inputs and constants.
  OperatorId producer(ValueId value) const { return entry(value).producer; }
  /// One operator for each time that it is read, in no order; results of the program aside.
  std::vector<OperatorId> readers(ValueId value) const;
  size_t read_count(ValueId value) const { return entry(value).uses.size(); }
  /// Operators, or the results.
  bool is_read(ValueId value) const { return read_count(value) > 0 || is_output(value); }

  // In order of execution. An operator that is erased while it is walked has no next one any more.
  OperatorId first() const { return first_; }
  OperatorId last() const { return last_; }
  OperatorId next(OperatorId op) const { return entry(op).next; }
  OperatorId previous(OperatorId op) const { return entry(op).previous; }
  size_t operator_count() const { return count_; }
  bool is_erased(OperatorId op) const { return entry(op).is_erased; }
  /// A snapshot.
  std::vector<OperatorId> order() const;
  /// Another order of the same operators.
  void reorder(const std::vector<OperatorId>& order);

  // Edits of operators.
  void set_code(OperatorId op, tflite::OpCode code) { entry(op).op.code = code; }
  tflite::Options& options(OperatorId op) { return entry(op).op.options; }
  void set_input(OperatorId op, size_t index, ValueId value);
  /// The operator computes `value` instead of what it did. Throws octet::Error where another operator does.
  void set_output(OperatorId op, size_t index, ValueId value);
  /// Operators that read `from` read `to` instead.
  void replace_reads(ValueId from, ValueId to);
  /// Its results have no producer any more.
  void erase(OperatorId op);
  /// Erases operators whose results nobody reads, and what they alone read. Returns whether there were any.
  bool erase_unread();

  // Edits of values.
  void set_value_source(ValueId value, ValueSource source) { entry(value).value.source = std::move(source); }
  void rename(ValueId value, const std::string& name) { entry(value).value.name = unique_name(name); }
  /// Of a value that nothing computes any more.
  void make_constant(ValueId value, ConstantData constant);

  /// Throws octet::Error where an operator reads what no earlier one computes, or producers and readers are not those
  /// that the operators say.
  void verify() const;

  /// The file's structure: values numbered as the operators name them, each operator in its lowest version, the sources
  /// as its metadata (octet/lowering/facts.h). Values that nothing names are left out.
  tflite::Model to_model() const;

 private:
  struct Use {
    OperatorId op;
    size_t index;
  };
  struct ValueEntry {
    Value value;
    OperatorId producer = kNoOperator;
    std::vector<Use> uses;
    bool is_input = false;
    bool is_output = false;
  };
  struct OperatorEntry {
    Operator op;
    std::vector<size_t> use_places;  // of each input among its value's uses
    OperatorId previous = kNoOperator;
    OperatorId next = kNoOperator;
    bool is_erased = false;
  };

  ValueEntry& entry(ValueId value) { return values_[static_cast<size_t>(value)]; }
  const ValueEntry& entry(ValueId value) const { return values_[static_cast<size_t>(value)]; }
  OperatorEntry& entry(OperatorId op) { return operators_[static_cast<size_t>(op)]; }
  const OperatorEntry& entry(OperatorId op) const { return operators_[static_cast<size_t>(op)]; }

  std::string unique_name(const std::string& wanted);
  ValueId add(Value value);
  void link_before(OperatorId op, OperatorId next);
  void unlink(OperatorId op);
  void add_use(OperatorId op, size_t index);
  void remove_use(OperatorId op, size_t index);
  void set_producer(ValueId value, OperatorId op);

  std::vector<ValueEntry> values_;
  std::vector<OperatorEntry> operators_;
  OperatorId first_ = kNoOperator, last_ = kNoOperator;
  size_t count_ = 0;
  std::vector<ValueId> inputs_, outputs_;
  std::vector<std::string> input_names_, output_names_;
  std::unordered_set<std::string> names_;
  std::unordered_map<std::string, int64_t> next_suffix_;  // of names that were asked for before
  OperatorSource source_;
};

}  // namespace octet::lowering
