#include "octet/targets/engine/passes/pass_manager.h"

#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet::targets {
namespace {

// Each round does more than one rewrite of every kind; a graph that still moves after this many runs in circles.
constexpr int kMaxRounds = 100;

}  // namespace

int64_t run_passes(GraphModule& module, const std::vector<Pass>& passes) {
  int64_t changes = 0;
  std::string moving = "all";
  module.graph().eliminate_dead_code();
  for (int round = 0; !moving.empty(); ++round) {
    if (round == kMaxRounds) throw Error("passes", "do not come to rest: " + moving);
    moving.clear();
    for (const Pass& pass : passes) {
      bool changed = false;
      try {
        changed = pass.run(module);
      } catch (const Error& error) {
        throw Error("pass " + pass.name, error.what());
      }
      if (!changed) continue;
      ++changes;
      moving += (moving.empty() ? "" : ", ") + pass.name;
      module.graph().eliminate_dead_code();
      log::debug("pass ", pass.name, " changed the graph");
    }
  }
  if (changes > 0) module.erase_unused();
  return changes;
}

}  // namespace octet::targets
