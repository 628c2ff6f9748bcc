#pragma once

#include <string>
#include <vector>

#include "octet/graph/node.h"

namespace octet::targets {

/// What a quantizer decided, for people; the specs themselves are the nodes' annotations.
struct QuantizationPlan {
  struct Entry {
    const Node* node = nullptr;
    /// Why the node, its inputs or its output have no spec: "no rule", "left in float by overrides[0]", "computed
    /// together with 'relu'". Empty where nothing is missing.
    std::string reason;
    bool refused = false;  ///< a pattern knows it, and a condition is why it stays in float: people are told
  };
  struct Override {
    std::vector<std::string> matched;  ///< names of the nodes that it selects, in graph order
    bool in_effect = false;            ///< false where it changed nothing
  };
  std::vector<Entry> entries;       ///< inputs and operators in graph order
  std::vector<Override> overrides;  ///< one for each of the options'
  std::vector<int64_t> scopes;      ///< of each PatternScope how many operators it decided about
};

}  // namespace octet::targets
