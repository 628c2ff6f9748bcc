#pragma once

#include <string>

#include "octet/support/api.h"
#include "octet/targets/engine/target.h"

namespace octet::targets {

/// The operator table of a target as a document in Markdown, below its own head: of every row the operators, specs,
/// sharing, fusions, constraints, and lowering. `docs/operators.md` is that of imxrt700.
OCTET_API std::string operator_table(const Target& target);

}  // namespace octet::targets
