#pragma once

#include <functional>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/targets/neutron/target_spec.h"

namespace octet::neutron {

/// A rewrite of a float graph that leaves its results as they are. Returns whether it changed anything; a second run on
/// its own result changes nothing.
struct Pass {
  std::string name;
  std::function<bool(GraphModule&)> run;
};

/// The target's passes in order (passes.h). For training, convolutions keep their BatchNorm, and grouped ones
/// stay whole: one parameter, one BatchNorm, one range.
std::vector<Pass> default_passes(const NeutronLimits& limits, bool is_qat);

/// Runs all passes in turn until none changes anything, so that what one makes another sees; dead code and unused
/// tensors are removed. Returns how many runs changed something. Throws octet::Error naming the pass that fails, or the
/// passes that never come to rest.
int64_t run_passes(GraphModule& module, const std::vector<Pass>& passes);

}  // namespace octet::neutron
