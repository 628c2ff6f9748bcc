#include "octet/targets/engine/chosen_specs.h"

#include "octet/support/error.h"
#include "octet/targets/engine/passes/memory.h"

namespace octet::targets {

ChosenSpecs::ChosenSpecs(const QuantizerOptions& options, const Graph& graph)
    : options_(options), changed_(changed_for_others(graph)) {
  overrides_.resize(options.overrides.size());
  for (const Node* node : graph.nodes()) {
    choices_[node] = choices_for(options.overrides, *node);
    for (size_t i = 0; i < options.overrides.size(); ++i) {
      if (selects(options.overrides[i], *node)) overrides_[i].matched.push_back(node->name());
    }
  }
}

bool ChosenSpecs::is_left_in_float(const Node& node) const {
  return of(node).left_in_float.has_value() || changed_.count(&node) > 0;
}

std::string ChosenSpecs::why_left_in_float(const Node& node) const {
  if (const auto chosen = follow(of(node).left_in_float)) {
    return octet::str("left in float by overrides[", *chosen, "]");
  }
  const auto changed = changed_.find(&node);
  if (changed == changed_.end()) return "";
  return octet::str("'", changed->second->name(), "' changes in place what others read of the same memory");
}

AnySpec ChosenSpecs::activation(const RoleConfig& numbers, const std::vector<const Node*>& owners) const {
  AnySpec made = make_spec(numbers, 0, options_.mode);
  auto* observed = std::get_if<QuantizationSpec>(&made);
  std::optional<size_t> chosen;
  for (const Node* owner : owners) {
    if (owner != nullptr) chosen = std::max(chosen, of(*owner).activation_observer);
  }
  if (observed == nullptr || numbers.dynamic || !follow(chosen)) return made;
  const std::string where = octet::str(owners.front()->where(), ": overrides[", *chosen, "].activation_observer");
  observed->observer_or_fake_quant =
      observer_by_name(options_.overrides[*chosen].activation_observer, numbers, options_.mode, where);
  return made;
}

AnySpec ChosenSpecs::weight(const RoleConfig& numbers, int64_t channel_axis, const Node& node) const {
  AnySpec made = make_spec(numbers, channel_axis, options_.mode);
  auto* observed = std::get_if<QuantizationSpec>(&made);
  if (observed == nullptr) return made;
  const std::optional<size_t> chosen = follow(of(node).weight_observer);
  if (!chosen) return made;
  const std::string where = octet::str(node.where(), ": overrides[", *chosen, "].weight_observer");
  observed->observer_or_fake_quant =
      observer_by_name(options_.overrides[*chosen].weight_observer, numbers, options_.mode, where);
  return made;
}

}  // namespace octet::targets
