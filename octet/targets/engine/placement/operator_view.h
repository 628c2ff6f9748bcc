#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/rows.h"
#include "octet/targets/engine/placement/clusters.h"

namespace octet::targets {

/// One operator of a quantized program as a target's rules look at it: behind its dequantize nodes, in front of its
/// quantize node.
class OperatorView {
 public:
  /// `channels_first`: the layout that the lowering gives to the operator's activations (octet/lowering/layout.h).
  OperatorView(const GraphModule& module, const Clusters& clusters, const Node& node, bool channels_first,
               bool scales_known)
      : module_(module),
        clusters_(clusters),
        node_(node),
        channels_first_(channels_first),
        scales_known_(scales_known) {}

  const GraphModule& module() const { return module_; }
  const Node& node() const { return node_; }
  bool channels_first() const { return channels_first_; }
  /// False before calibration: grids are placeholders, equal only where they are shared.
  bool scales_known() const { return scales_known_; }

  /// The nodes that the argument reads, lists flattened; empty for None and constants.
  std::vector<const Node*> producers(std::string_view argument) const;
  /// The grid of each of them, nullopt where it comes in float.
  std::vector<std::optional<QuantRecord>> input_grids(std::string_view argument) const;
  /// The grid of the first; nullopt where it comes in float, or is no node.
  std::optional<QuantRecord> input_grid(std::string_view argument) const;
  /// The grid behind the operator, and behind the activation that is computed with it; nullopt where it leaves in
  /// float.
  std::optional<QuantRecord> output_grid() const;

  /// Sizes of the argument's (first) tensor and of the result. Throw octet::Error where unknown.
  const std::vector<int64_t>& sizes(std::string_view argument) const;
  const std::vector<int64_t>& output_sizes() const { return node_.sizes(); }
  bool is_none(std::string_view argument) const;
  /// True where the tensor is a parameter or constant, also behind dequantize, permutations and views.
  bool is_static(std::string_view argument) const;
  /// Its value, dequantized; undefined where it is not static.
  at::Tensor static_value(std::string_view argument) const;

  /// A list of two numbers; a single one stands for both. `missing` where the list is empty or absent.
  std::pair<int64_t, int64_t> pair(std::string_view argument, std::pair<int64_t, int64_t> missing) const;

 private:
  const GraphModule& module_;
  const Clusters& clusters_;
  const Node& node_;
  bool channels_first_;
  bool scales_known_;
};

}  // namespace octet::targets
