#pragma once

#include "octet/graph/graph.h"
#include "octet/targets/engine/quantization_plan.h"
#include "octet/targets/engine/target.h"

namespace octet::targets {

/// The numbers of one node, in place of what scheme and overrides say; nullptr where they count.
using ConfigOf = std::function<const QuantizationConfig*(const Node&)>;

/// Writes the annotations of a target's quantizer into a graph: each operator that a row names, with the specs that the
/// schemes give its roles. `options` must be completed(). The result does not depend on the order of the rows. Throws
/// octet::Error where an override names an observer that does not serve the value it selects.
QuantizationPlan annotate(const Target& target, const QuantizerOptions& options, Graph& graph,
                          const ConfigOf& own_config = nullptr);

}  // namespace octet::targets
