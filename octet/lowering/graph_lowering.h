#pragma once

#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "octet/lowering/far_values.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program.h"

namespace octet::lowering {

/// The program's value that stands for a node's, and the order of its axes.
struct PlacedValue {
  ValueId id = kNoValue;
  bool channels_last = false;
};

/// Walks a graph and keeps, for every node, the program's value that stands for it.
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
  /// The node's value is this one, in the order that channels_last says.
  void set_value(const Node& node, ValueId value);
  /// The one that holds the value in this order and on this grid (nullopt: float32), by TRANSPOSE, DEQUANTIZE or
  /// QUANTIZE where it must be made: once for all readers. Constants are folded.
  ValueId value_of(const Node& node, bool channels_last, const std::optional<Grid>& grid);
  /// A constant on the grid that it has.
  ValueId stored(const Node& constant, bool channels_last);
  /// A transposed copy.
  ValueId transposed(ValueId value, const std::vector<int64_t>& order, const std::string& name);

 private:
  std::optional<Grid> at_the_edge(const std::optional<Grid>& grid) const;
  void place_inputs();
  void lower_node(const Node& node);
  void require_int8(const Node& node) const;
  void lower_quantize(const Node& node);
  void place_outputs();
  const PlacedValue& placed(const Node& node) const;
  ValueId constant_in_order(const Node& node, const Constant& constant, bool channels_last);
  ValueId converted(ValueId value, const std::optional<Grid>& grid);
  ValueId copied(ValueId value);

  const GraphModule& module_;
  LoweringOptions options_;
  Program program_;
  FarValues far_values_{program_};
  std::unordered_set<const Node*> channels_last_;
  std::unordered_map<const Node*, Grid> grids_;
  std::unordered_map<const Node*, PlacedValue> values_;
  std::map<std::pair<ValueId, std::vector<int64_t>>, ValueId> transposed_;
  std::map<std::tuple<ValueId, tflite::Type, float, int64_t>, ValueId> converted_;
};

}  // namespace octet::lowering
