#include "octet/targets/neutron/passes/pass_manager.h"

#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/neutron/passes/passes.h"

namespace octet::neutron {
namespace {

// Each round does more than one rewrite of every kind; a graph that still moves after this many runs in circles.
constexpr int kMaxRounds = 100;

}  // namespace

std::vector<Pass> default_passes(const NeutronLimits& limits, bool is_qat) {
  std::vector<Pass> passes = {
      {"add_batch_to_pools", add_batch_to_pools},
      {"decompose_splits", decompose_splits},
      {"split_gru_layers", split_gru_layers},
      {"fold_known_outputs", [is_qat](GraphModule& module) { return fold_known_outputs(module, is_qat); }},
      {"fuse_linear_and_add", fuse_linear_and_add},
      {"move_activations_before_concat",
       [limits](GraphModule& module) { return move_activations_before_concat(module, limits); }},
      {"convert_div_to_mul", convert_div_to_mul},
      {"convert_conv1d_to_conv2d", [limits](GraphModule& module) { return convert_conv1d_to_conv2d(module, limits); }},
      {"convert_scalars_to_attributes", convert_scalars_to_attributes},
  };
  if (!is_qat) {
    // A BatchNorm folds into the whole convolution; behind the parts it could not.
    passes.push_back({"fuse_batch_norms", fuse_batch_norms});
    passes.push_back({"split_group_convolutions",
                      [limits](GraphModule& module) { return split_group_convolutions(module, limits); }});
  }
  return passes;
}

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

}  // namespace octet::neutron
