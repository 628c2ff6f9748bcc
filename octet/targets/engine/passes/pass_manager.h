#pragma once

#include <functional>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet::targets {

/// A rewrite of a float graph that leaves its results as they are. Returns whether it changed anything; a second run on
/// its own result changes nothing.
struct Pass {
  std::string name;
  std::function<bool(GraphModule&)> run;
};

/// Runs all passes in turn until none changes anything, so that what one makes another sees; dead code and unused
/// tensors are removed. Returns how many runs changed something. Throws octet::Error naming the pass that fails, or the
/// passes that never come to rest.
OCTET_API int64_t run_passes(GraphModule& module, const std::vector<Pass>& passes);

}  // namespace octet::targets
