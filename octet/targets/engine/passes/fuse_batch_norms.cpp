#include "octet/quantize/fold_batch_norm.h"
#include "octet/targets/engine/passes/passes.h"

namespace octet::targets {

bool fuse_batch_norms(GraphModule& module) {
  const std::vector<ConvBatchNorm> pairs = find_conv_batch_norms(module.graph());
  const bool any = std::any_of(pairs.begin(), pairs.end(), [](const ConvBatchNorm& pair) { return !pair.training(); });
  return any && fold_batch_norms(module) > 0;
}

}  // namespace octet::targets
