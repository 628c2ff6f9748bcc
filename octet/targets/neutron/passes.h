#pragma once

#include <vector>

#include "octet/targets/engine/operator_rule.h"
#include "octet/targets/engine/options.h"
#include "octet/targets/engine/passes/pass_manager.h"
#include "octet/targets/neutron/target_spec.h"

namespace octet::neutron {

/// The passes for Neutron in order, as mode and settings say. For training, convolutions keep their BatchNorm, and
/// grouped ones and parallel ones stay as they are: one parameter, one BatchNorm, one range. Activations are taken
/// apart where products have observed ranges.
std::vector<targets::Pass> default_passes(const NeutronLimits& limits, const targets::RuleTable& rules,
                                          const targets::QuantizerOptions& options);

}  // namespace octet::neutron
