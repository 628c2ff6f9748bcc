#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "octet/graph/graph.h"
#include "octet/quantize/spec.h"
#include "octet/targets/engine/options.h"
#include "octet/targets/engine/quantization_config.h"
#include "octet/targets/engine/quantization_plan.h"

namespace octet::targets {

/// What a user's overrides say of the nodes of a graph, and the specs that follow from it; remembers which of the
/// overrides took effect.
class ChosenSpecs {
 public:
  ChosenSpecs(const QuantizerOptions& options, const Graph& graph);

  const NodeChoices& of(const Node& node) const { return choices_.at(&node); }
  /// True where an override leaves the node in float, or an operator in place changes what it, or what it
  /// reads, shares with others (passes/memory.h).
  bool is_left_in_float(const Node& node) const;
  /// Why it is, which counts as an effect of the override; empty where it isn't.
  std::string why_left_in_float(const Node& node) const;
  /// What an override says that is followed is in effect.
  std::optional<size_t> follow(std::optional<size_t> index) const {
    if (index) overrides_[*index].in_effect = true;
    return index;
  }
  /// An activation's spec, with the observer that an override of one of the nodes names; the last override wins.
  AnySpec activation(const RoleConfig& numbers, const std::vector<const Node*>& owners) const;
  /// A weight's of `node`.
  AnySpec weight(const RoleConfig& numbers, int64_t channel_axis, const Node& node) const;

  /// What each override selects in graph order, and whether it took effect.
  std::vector<QuantizationPlan::Override> overrides() const { return overrides_; }

 private:
  const QuantizerOptions& options_;
  std::unordered_map<const Node*, NodeChoices> choices_;
  std::unordered_map<const Node*, const Node*> changed_;  // by which operator
  mutable std::vector<QuantizationPlan::Override> overrides_;
};

}  // namespace octet::targets
