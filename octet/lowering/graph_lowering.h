#pragma once

#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "octet/lowering/lowering.h"
#include "octet/lowering/program.h"

namespace octet::lowering {

/// The tensor that stands for a value of the graph, and the order of its axes.
struct Value {
  int32_t tensor = -1;
  bool channels_last = false;
};

/// Walks a program and keeps, for every value, the tensor that stands for it.
class GraphLowering {
 public:
  GraphLowering(const GraphModule& module, const LoweringOptions& options);
  tflite::Model run();

  const GraphModule& module() const { return module_; }
  const LoweringOptions& options() const { return options_; }
  Program& program() { return program_; }

  /// True where the program keeps the value as NHWC.
  bool channels_last(const Node& node) const { return channels_last_.count(&node) > 0; }
  /// nullopt: the value is float32.
  std::optional<Grid> grid(const Node& node) const;
  /// The node's value is this tensor, in the order that channels_last says.
  void set_value(const Node& node, int32_t tensor) { values_[&node] = {tensor, channels_last(node)}; }
  /// The tensor that holds the value in this order and on this grid (nullopt: float32), by TRANSPOSE, DEQUANTIZE or
  /// QUANTIZE where it must be made: once for all readers. Constants are folded.
  int32_t tensor_of(const Node& node, bool channels_last, const std::optional<Grid>& grid);
  /// A transposed copy.
  int32_t transposed(int32_t tensor, const std::vector<int64_t>& order, const std::string& name);

 private:
  void place_inputs();
  void lower_node(const Node& node);
  void lower_quantize(const Node& node);
  void place_outputs();
  const Value& value(const Node& node) const;
  int32_t converted(int32_t tensor, const std::optional<Grid>& grid);
  int32_t copied(int32_t tensor);
  bool is_input(int32_t tensor) const;

  const GraphModule& module_;
  LoweringOptions options_;
  Program program_;
  std::unordered_set<const Node*> channels_last_;
  std::unordered_map<const Node*, Grid> grids_;
  std::unordered_map<const Node*, Value> values_;
  std::map<std::pair<int32_t, std::vector<int64_t>>, int32_t> transposed_;
  std::map<std::tuple<int32_t, bool, float, int64_t>, int32_t> converted_;
};

}  // namespace octet::lowering
