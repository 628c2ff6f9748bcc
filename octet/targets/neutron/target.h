#pragma once

#include "octet/targets/engine/target.h"
#include "octet/targets/neutron/target_spec.h"

namespace octet::neutron {

/// A Neutron NPU as a target: int8 activations per tensor, int8 weights (convolutions per channel), int32 biases.
/// Settings: "mul_range", "sigmoid_input" and "qat_ranges" (neutron_quantizer.h).
targets::Target target(const NeutronTargetSpec& spec);

/// The same with another table, for a caller that adds or leaves out operators.
targets::Target target(const NeutronTargetSpec& spec, std::vector<targets::OperatorRule> rules);

}  // namespace octet::neutron
