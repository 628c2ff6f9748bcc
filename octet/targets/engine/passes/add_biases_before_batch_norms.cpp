#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include "octet/quantize/fold_batch_norm.h"
#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {

bool add_biases_before_batch_norms(GraphModule& module) {
  const at::NoGradGuard no_grad;
  bool changed = false;
  for (const ConvBatchNorm& pair : find_conv_batch_norms(module.graph())) {
    if (pair.info.is_linear || !pair.conv->arg("bias").is_none() || !pair.conv->meta()) continue;
    const auto here = module.graph().inserting_before(pair.conv);
    const at::Tensor zeros = at::zeros({pair.conv->sizes().at(1)}, at::TensorOptions(pair.conv->meta()->dtype));
    pair.conv->set_arg("bias", Arg(add_attr(module, pair.conv->name() + "_zero_bias", zeros, AttrKind::kBuffer)));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
