#include "octet/quantize/bias_pass.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "octet/quantize/fold_batch_norm.h"
#include "octet/support/error.h"

namespace octet {
namespace {

bool is_target(const Node& node) {
  return node.is_call("aten.convolution.default") || node.is_call("aten.conv2d.default") ||
         node.is_call("aten.conv_transpose2d.input");
}

// The dequantize that the convolution's input comes from, or nullptr.
const Node* input_dequantize(const Node& conv) {
  const Node* input = conv.arg(0).node();
  if (input != nullptr && (input->is_call("aten.unsqueeze.default") || input->is_call("aten.unsqueeze_copy.default"))) {
    input = input->arg(0).node();
  }
  const bool known = input != nullptr && input->is_call("quantized_decomposed.dequantize_per_tensor.default") &&
                     input->arg("scale").is_constant();
  return known ? input : nullptr;
}

int64_t out_channels(const Node& conv, const GraphModule& module, const Node& weight_dequantize) {
  if (conv.meta() && conv.meta()->rank() > 1) return conv.meta()->sizes[1];
  const Node* weight = weight_dequantize.arg(0).node();
  if (weight == nullptr || !weight->is_get_attr()) return conv.sizes().at(1);
  const at::Tensor value = module.attr(weight->target());
  return conv_info(conv)->is_transposed ? value.size(1) * conv.arg("groups").to_int() : value.size(0);
}

Node* attribute(GraphModule& module, const std::string& wanted, const at::Tensor& value, AttrKind kind) {
  const std::string name = module.free_name(wanted);
  module.set_attr(name, value, kind);
  Node* read = module.graph().get_attr(name);
  read->set_meta(TensorMeta{value.scalar_type(), value.sizes().vec()});
  return read;
}

}  // namespace

at::Tensor bias_levels(const at::Tensor& bias, const at::Tensor& scale, int64_t least) {
  constexpr auto kMost = static_cast<double>(std::numeric_limits<int32_t>::max());
  // In double, where every int32 is exact.
  return (bias.to(at::kDouble) / scale.to(at::kDouble)).round().clamp(static_cast<double>(least), kMost).to(at::kInt);
}

size_t QuantizeFusedConvBnBiasAtenPass::operator()(GraphModule& module) const {
  const at::NoGradGuard no_grad;
  size_t quantized = 0;
  for (Node* node : module.graph().nodes()) {
    if (is_target(*node) && quantize_bias(module, node)) ++quantized;
  }
  if (quantized > 0) {
    module.graph().eliminate_dead_code();
    module.erase_unused();
  }
  return quantized;
}

bool QuantizeFusedConvBnBiasAtenPass::quantize_bias(GraphModule& module, Node* conv) const {
  const Node* input = input_dequantize(*conv);
  const Node* weight = conv->arg(1).node();
  if (input == nullptr || weight == nullptr) return false;
  const bool per_channel = weight->is_call("quantized_decomposed.dequantize_per_channel.default");
  if (!per_channel && !weight->is_call("quantized_decomposed.dequantize_per_tensor.default")) return false;

  const int64_t channels = out_channels(*conv, module, *weight);
  at::Tensor bias;
  if (conv->arg(2).is_none()) {
    if (!default_zero_bias_) return false;
    bias = at::zeros({channels});
  } else {
    const Node* given = conv->arg(2).node();
    if (given == nullptr || !given->is_get_attr()) return false;
    bias = module.attr(given->target()).detach();
    if (bias.scalar_type() == at::kInt) return false;
  }

  const float input_scale = static_cast<float>(input->arg("scale").to_double());
  at::Tensor scale;
  if (per_channel) {
    scale = module.attr(weight->arg("scales").node()->target()).detach().to(at::kFloat) * input_scale;
    // A transposed convolution's scales are those of one group.
    if (scale.numel() != channels) {
      if (scale.numel() == 0 || channels % scale.numel() != 0) {
        throw expected(conv->where(), "weight scales", octet::str("a divisor of ", channels),
                       std::to_string(scale.numel()));
      }
      scale = scale.repeat({channels / scale.numel()});
    }
  } else {
    scale = at::full({1}, input_scale * static_cast<float>(weight->arg("scale").to_double()));
  }
  const int64_t most = std::numeric_limits<int32_t>::max();
  const int64_t least = symmetric_quant_ ? -most : std::numeric_limits<int32_t>::min();
  const at::Tensor integers = bias_levels(bias, scale, least);

  const auto point = module.graph().inserting_before(conv);
  Node* value = attribute(module, conv->name() + "_bias_int32", integers, AttrKind::kBuffer);
  Node* dequantize = nullptr;
  if (per_channel) {
    Node* scales = attribute(module, conv->name() + "_bias_scale", scale, AttrKind::kBuffer);
    Node* zero_points =
        attribute(module, conv->name() + "_bias_zero_point", at::zeros_like(scale, at::kInt), AttrKind::kBuffer);
    dequantize =
        module.graph().call("quantized_decomposed.dequantize_per_channel.default",
                            {Arg(value), Arg(scales), Arg(zero_points), Arg(0), Arg(least), Arg(most), Arg(at::kInt)});
  } else {
    dequantize = module.graph().call(
        "quantized_decomposed.dequantize_per_tensor.default",
        {Arg(value), Arg(static_cast<double>(scale.item<float>())), Arg(0), Arg(least), Arg(most), Arg(at::kInt)});
  }
  dequantize->set_meta(TensorMeta{at::kFloat, bias.sizes().vec()});
  conv->set_arg(2, Arg(dequantize));
  return true;
}

}  // namespace octet
