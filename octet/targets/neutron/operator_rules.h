#pragma once

#include <vector>

#include "octet/targets/engine/operator_rule.h"
#include "octet/targets/neutron/target_spec.h"

namespace octet::neutron {

/// The operator table of a Neutron NPU. A new operator is a row.
std::vector<targets::OperatorRule> operator_rules(const NeutronTargetSpec& target);

}  // namespace octet::neutron
