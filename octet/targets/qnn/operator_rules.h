#pragma once

#include <vector>

#include "octet/targets/engine/operator_rule.h"

namespace octet::qnn {

/// The operators that QNN's quantizer knows for HTP, each with the roles of what it reads and gives.
std::vector<targets::OperatorRule> operator_rules();

}  // namespace octet::qnn
