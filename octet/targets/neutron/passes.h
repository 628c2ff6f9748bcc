#pragma once

#include <vector>

#include "octet/quantize/quantizer.h"
#include "octet/targets/engine/operator_rule.h"
#include "octet/targets/engine/passes/pass_manager.h"
#include "octet/targets/neutron/target_spec.h"

namespace octet::neutron {

/// The passes for Neutron in order. For training, convolutions keep their BatchNorm, and grouped ones stay whole: one
/// parameter, one BatchNorm, one range.
std::vector<targets::Pass> default_passes(const NeutronLimits& limits, const targets::RuleTable& rules,
                                          QuantizationMode mode);

}  // namespace octet::neutron
