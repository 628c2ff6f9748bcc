#pragma once

#include <string>

#include "octet/targets/neutron/target_spec.h"

namespace octet::neutron {

/// The operator table as a document in Markdown: of every row its operators, specs, sharing, fusions, constraints with
/// the target's limits, and lowering. `docs/operators.md` is this text.
std::string operator_table(const NeutronTargetSpec& target);

}  // namespace octet::neutron
