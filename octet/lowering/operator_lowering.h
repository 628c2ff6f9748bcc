#pragma once

#include "octet/lowering/constants.h"
#include "octet/lowering/graph_lowering.h"

namespace octet::lowering {

/// One operator while it is lowered: what it reads in the order and type that its result has, and what it becomes.
/// Sizes and axes are the graph's; `laid_out` and `axis` translate them.
class OperatorLowering {
 public:
  OperatorLowering(GraphLowering& graph, const Node& node);

  const Node& node() const { return node_; }
  const LoweringOptions& options() const { return graph_.options(); }
  /// In integers; else in float32.
  bool is_quantized() const { return grid_.has_value(); }
  const std::optional<Grid>& grid() const { return grid_; }
  /// Of the result, where it is on no grid; of the first, where there are several.
  tflite::Type type() const { return type_; }
  /// The result is kept as NHWC.
  bool channels_last() const { return channels_last_; }

  // Arguments, by schema name.
  bool is_none(std::string_view argument) const;
  const std::vector<int64_t>& sizes(std::string_view argument = {}) const;  ///< of the first tensor where not named
  int64_t rank() const { return static_cast<int64_t>(node_.sizes().size()); }
  int64_t integer(std::string_view argument, int64_t missing) const;
  double number(std::string_view argument, double missing) const;
  bool flag(std::string_view argument) const;
  std::string text(std::string_view argument, const std::string& missing) const;
  std::vector<int64_t> integers(std::string_view argument) const;  ///< empty where None
  /// A list of two numbers; a single one stands for both. `missing` where the list is empty or absent.
  std::pair<int64_t, int64_t> pair(std::string_view argument, std::pair<int64_t, int64_t> missing) const;
  /// From the end where negative.
  int64_t dimension(std::string_view argument, int64_t missing, int64_t rank) const;
  /// The constant that the argument stands for; nullopt where it depends on an input, or is None.
  std::optional<Constant> constant(std::string_view argument) const;
  std::optional<Constant> constant(const Node& value) const;

  // Values that it reads, in the order of the result or another.
  ValueId input(std::string_view argument = {});
  ValueId input(std::string_view argument, bool channels_last);
  /// The same for a node of a list.
  ValueId input(const Node& value, bool channels_last);
  /// An input of an operator that works element by element: of the result's rank, a number as a constant; of the
  /// result's type, or another.
  ValueId operand(std::string_view argument) { return operand(argument, type_); }
  ValueId operand(std::string_view argument, tflite::Type type);
  /// What the argument is on no grid: of a tensor or a number, as the schema has it.
  tflite::Type type_of_argument(std::string_view argument) const;
  /// The grid that the graph gives a tensor that it reads; nullopt where it is float.
  std::optional<Grid> grid_of_argument(std::string_view argument) const;
  /// The value in another type, by CAST; itself where it has that.
  ValueId cast(const std::string& name, ValueId value, tflite::Type type);
  /// The levels of an input, where it has a grid, for an operator whose result depends on their order alone.
  ValueId levels(std::string_view argument);
  /// A constant on the operator's side: weights, slopes. `name` is appended to the node's.
  ValueId constant_tensor(const std::string& name, const Constant& constant);
  /// Numbers on a grid (rounded to it), or float32 where the operator is.
  ValueId numbers(const std::string& name, const at::Tensor& values, const std::optional<Grid>& grid);
  ValueId indices(const std::string& name, const std::vector<int64_t>& values);
  ValueId indices(const std::string& name, const std::vector<int64_t>& values, const std::vector<int64_t>& shape);

  std::vector<int64_t> shape_of(ValueId value) const { return graph_.program().at(value).shape; }
  /// Its grid; nullopt where it is float.
  std::optional<Grid> grid_of(ValueId value) const { return graph_.program().at(value).grid(); }
  tflite::Type type_of(ValueId value) const { return graph_.program().at(value).type; }

  /// The graph's sizes in the order of the result.
  std::vector<int64_t> laid_out(const std::vector<int64_t>& sizes) const;
  /// The graph's axis in the order of the result, for values of `rank` dimensions.
  int64_t axis(int64_t dimension, int64_t rank) const;

  // Where an operator's kernel has one grid for its result and another is asked for, QUANTIZE turns it; a finer one is
  // reached from float.

  /// The operator that gives the node's value.
  void emit(tflite::OpCode code, std::vector<ValueId> inputs, const tflite::Options& options = {});
  /// An operator on the way: a new value of this shape, on the result's grid.
  ValueId step(const std::string& name, tflite::OpCode code, std::vector<ValueId> inputs, std::vector<int64_t> shape,
               const tflite::Options& options = {});
  /// The same on another grid; nullopt: float32.
  ValueId step_on(const std::string& name, tflite::OpCode code, std::vector<ValueId> inputs, std::vector<int64_t> shape,
                  const std::optional<Grid>& grid, const tflite::Options& options = {});
  /// The same of a type without a grid; of several results, the values in their order.
  ValueId step_of(const std::string& name, tflite::OpCode code, std::vector<ValueId> inputs, std::vector<int64_t> shape,
                  tflite::Type type, const tflite::Options& options = {});
  std::vector<ValueId> steps_of(const std::string& name, tflite::OpCode code, std::vector<ValueId> inputs,
                                const std::vector<int64_t>& shape, const std::vector<tflite::Type>& types,
                                const tflite::Options& options = {});
  /// A constant of whole numbers or bools, as the tensor has them.
  ValueId plain_constant(const std::string& name, const at::Tensor& values);
  ValueId reshaped(const std::string& name, ValueId tensor, const std::vector<int64_t>& shape);
  ValueId transposed(const std::string& name, ValueId tensor, const std::vector<int64_t>& order);
  /// The node's value is this one: nothing to compute.
  void alias(ValueId tensor) { graph_.set_value(node_, tensor); }
  /// Where a graph's operator has several results: the value of the getitem that takes this one.
  void set_element(const Node& element, ValueId tensor) { graph_.set_value(element, tensor); }
  bool keeps_channels_last(const Node& value) const { return graph_.channels_last(value); }

  /// Throws octet::Error: TFLite has no operator for this form of it.
  [[noreturn]] void refuse(const std::string& what, const std::string& way_out = "") const;

 private:
  // What such an operator gives, for a QUANTIZE to turn onto `grid`.
  ValueId before_quantize(const std::string& name, tflite::OpCode code, std::vector<ValueId> inputs,
                          std::vector<int64_t> shape, const Grid& grid, const tflite::Options& options);

  const Node* argument_node(std::string_view argument) const;

  GraphLowering& graph_;
  const Node& node_;
  std::optional<Grid> grid_;
  tflite::Type type_ = tflite::Type::kFloat32;
  bool channels_last_;
  bool on_one_grid_ = false;
};

}  // namespace octet::lowering
