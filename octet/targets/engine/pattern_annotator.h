#pragma once

#include "octet/targets/engine/chosen_specs.h"
#include "octet/targets/engine/pattern.h"
#include "octet/targets/engine/quantization_plan.h"

namespace octet::targets {

/// Writes the annotations of a quantizer that tries patterns in order: scope after scope, in each stage after stage,
/// each along the whole graph; at last what passes grids on. `specs` gives the specs of roles, and says what the user's
/// overrides leave in float. Throws octet::Error where an override names an observer that does not serve its value.
QuantizationPlan annotate_patterns(const PatternTable& table, const std::vector<PatternScope>& scopes,
                                   QuantizationMode mode, GraphModule& module, const ChosenSpecs& specs);

}  // namespace octet::targets
