#pragma once

#include "octet/graph/graph_module.h"
#include "octet/targets/engine/quantization_plan.h"
#include "octet/targets/engine/target.h"

namespace octet::targets {

/// The numbers of one node, in place of what scheme and overrides say; nullptr where they count.
using ConfigOf = std::function<const QuantizationConfig*(const Node&)>;

/// Writes the annotations of a target's quantizer into a graph, with the specs that the schemes give roles: by its
/// patterns, one after the other (pattern.h), where it has any; else each operator that a row names, and the result
/// does not depend on the order of the rows. `options` must be completed(). Throws octet::Error where an override names
/// an observer that does not serve the value it selects.
QuantizationPlan annotate(const Target& target, const QuantizerOptions& options, GraphModule& module,
                          const ConfigOf& own_config = nullptr);

}  // namespace octet::targets
