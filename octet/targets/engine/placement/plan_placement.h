#pragma once

#include "octet/targets/engine/placement/placement.h"
#include "octet/targets/engine/quantization_plan.h"

namespace octet::targets {

/// Of a target that tries patterns: which operators of an annotated model are quantized, and why the others are not.
/// There is one processor: partition 0 stands for "computes in integers".
Placement place_by_plan(const GraphModule& annotated, const QuantizationPlan& plan, const Target& target);

/// The same of a program that is quantized already: an operator computes in integers where its input, and its weight or
/// its result, lie on grids.
Placement place_by_grids(const GraphModule& quantized, const Target& target);

}  // namespace octet::targets
