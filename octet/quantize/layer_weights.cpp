#include "octet/quantize/layer_weights.h"

#include "octet/quantize/fold_batch_norm.h"
#include "octet/quantize/learned_scales.h"
#include "octet/quantize/observer.h"

namespace octet {
namespace {

template <typename Module>
std::shared_ptr<Module> called(const GraphModule& module, const Node& node) {
  if (node.kind() != NodeKind::kCallModule) return nullptr;
  return std::dynamic_pointer_cast<Module>(module.callable(node.target()));
}

at::Tensor trained_parameter(const GraphModule& module, const Arg& arg) {
  if (!arg.is_node() || !arg.node()->is_get_attr()) return {};
  const std::string& name = arg.node()->target();
  if (module.attr_kind(name) != AttrKind::kParameter || module.reader_count(name, 2) != 1) return {};
  at::Tensor parameter = module.attr(name);
  return parameter.requires_grad() ? parameter : at::Tensor();
}

void add_grid(const CallableModule* rounding, LayerWeight& layer) {
  const auto* learned = dynamic_cast<const LearnedFakeQuantize*>(rounding);
  if (learned == nullptr) return;
  for (const at::Tensor& each : learned->learned()) {
    if (each.numel() == layer.channels()) layer.grid.push_back(each);
  }
}

// The layer that `node` is; its weight undefined where that is none such.
LayerWeight layer_of(const GraphModule& module, const Node& node) {
  LayerWeight layer;
  layer.pair = called<QatConvBn>(module, node);
  const std::optional<ConvInfo> info = layer.pair ? layer.pair->info() : conv_info(node);
  if (!info || info->is_transposed) return layer;
  Arg read = node.arg(size_t{1});
  std::vector<std::shared_ptr<ObserverBase>> roundings;
  while (read.is_node()) {
    const Node& source = *read.node();
    const auto observer = called<ObserverBase>(module, source);
    if (!observer) break;
    if (source.user_count() != 1) return layer;
    roundings.push_back(observer);
    read = source.arg(size_t{0});
  }
  const at::Tensor weight = trained_parameter(module, read);
  if (!weight.defined() || weight.dim() < 2 || weight.size(0) < 2 || weight.numel() == 0) return layer;
  layer.name = read.node()->target();
  layer.weight = weight;
  if (layer.pair) {
    layer.gamma = trained_parameter(module, node.arg(size_t{3}));
    add_grid(layer.pair->weight_fake_quant().get(), layer);
  }
  for (const auto& rounding : roundings) add_grid(rounding.get(), layer);
  return layer;
}

}  // namespace

std::vector<LayerWeight> layer_weights(const GraphModule& prepared) {
  std::vector<LayerWeight> found;
  for (const Node* node : prepared.graph().nodes()) {
    LayerWeight layer = layer_of(prepared, *node);
    if (layer.weight.defined()) found.push_back(std::move(layer));
  }
  return found;
}

}  // namespace octet
