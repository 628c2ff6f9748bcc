#include "octet/train/dead_channels.h"

#include <ATen/core/grad_mode.h>

#include "octet/quantize/qat_conv_bn.h"
#include "octet/support/error.h"

namespace octet {
namespace {

// Of the folded weight, which of its channels the grid leaves nothing of.
int64_t dead_of(const QatConvBn& pair, const std::vector<at::Tensor>& inputs) {
  const auto* rounding = known_rounding(pair.weight_fake_quant().get());
  if (rounding == nullptr || !rounding->has_data() || !rounding->is_fake_quant_enabled()) return 0;
  const at::Tensor weight = pair.fold(inputs).weight.detach();
  const at::Tensor most = weight.abs().reshape({weight.size(0), -1}).amax(1);
  const at::Tensor half = rounding->scale.detach().to(at::kFloat) / 2;
  return most.le(half).sum().item<int64_t>();  // a scale, or one a channel; half a step rounds to the even 0
}

}  // namespace

DeadChannels dead_channels(const GraphModule& prepared) {
  const at::NoGradGuard no_grad;
  DeadChannels found;
  int64_t most = 0;
  for (const Node* node : prepared.graph().nodes()) {
    if (node->kind() != NodeKind::kCallModule) continue;
    const auto* pair = dynamic_cast<const QatConvBn*>(prepared.callable(node->target()).get());
    if (pair == nullptr || !pair->normalizes_batch() || pair->info().is_transposed) continue;
    std::vector<at::Tensor> inputs = {at::Tensor()};
    bool is_static = true;
    for (size_t i = 1; i < node->args().size(); ++i) {
      const Node* input = node->arg(i).is_node() ? node->arg(i).node() : nullptr;
      is_static = is_static && (input == nullptr || input->is_get_attr());
      inputs.push_back(input != nullptr && input->is_get_attr() ? prepared.attr(input->target()) : at::Tensor());
    }
    if (!is_static || inputs.size() != 7 || !inputs[1].defined()) continue;
    const int64_t dead = dead_of(*pair, inputs);
    found.channels += inputs[1].size(0);
    found.dead += dead;
    found.layers += dead > 0 ? 1 : 0;
    if (dead <= most) continue;
    most = dead;
    const std::string name = node->arg(1).node()->target();
    found.worst = name.substr(0, name.rfind('.'));
  }
  return found;
}

std::string text(const DeadChannels& found) {
  return str(found.dead, " of ", found.channels, " channels (in ",
             found.layers == 1 ? "1 layer" : octet::str(found.layers, " layers"), ": most in '", found.worst,
             "') have no weight that rounds to anything but 0. BatchNorm divides by a variance of 0 there: their "
             "gradients are hundreds of times too large, and training may diverge. --freeze-bn-after 0 keeps the "
             "float model's statistics; a scale a channel or more bits leave fewer of them");
}

}  // namespace octet
