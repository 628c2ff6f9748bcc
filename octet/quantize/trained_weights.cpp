#include "octet/quantize/trained_weights.h"

#include <ATen/core/grad_mode.h>

#include "octet/graph/constant_value.h"
#include "octet/quantize/accumulator.h"
#include "octet/quantize/compare.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/quantize/qdq.h"

namespace octet {
namespace {

constexpr double kMovedShare = 0.01;
constexpr double kRounded = 0.51;  // of a step: rounding moves a weight by half of one at most, in float a little more

bool is_stored(const Node* node) { return node != nullptr && node->is_get_attr(); }

// The dequantize that gives a product its weight, stored in integers on a grid of one scale, or one a channel.
const Node* stored_weight(const Node& node) {
  const std::optional<ProductArguments> product = product_arguments(node);
  if (!product || !node.arg(product->weight).is_node()) return nullptr;
  const Node* weight = node.arg(product->weight).node();
  return weight->is(Trait::kDequantize) && is_stored(weight->arg(0).node()) ? weight : nullptr;
}

bool is_trained(const at::Tensor& levels, const at::Tensor& values, const QuantRecord& grid, const at::Tensor& wanted) {
  std::vector<int64_t> shape(static_cast<size_t>(levels.dim()), 1);
  if (grid.axis && grid.scale.size() > 1) shape.at(static_cast<size_t>(*grid.axis)) = -1;
  const at::Tensor steps = at::tensor(grid.scale, at::kDouble).view(shape);
  const at::Tensor apart = (values.to(at::kDouble) - wanted.to(at::kDouble)).abs();
  const at::Tensor within = levels.gt(grid.quant_min).logical_and(levels.lt(grid.quant_max));
  const at::Tensor moved = apart.gt(steps * kRounded).logical_and(within);
  return moved.sum().item<double>() > kMovedShare * static_cast<double>(levels.numel());
}

}  // namespace

TrainedWeights find_trained_weights(const GraphModule& float_model, const GraphModule& quantized) {
  const at::NoGradGuard no_grad;
  const std::shared_ptr<GraphModule> folded = float_model.copy();
  fold_batch_norms(*folded);
  const FloatNodes sources(*folded);
  TrainedWeights found;
  for (const Node* node : quantized.graph().nodes()) {
    const Node* weight = stored_weight(*node);
    const Node* source = weight != nullptr ? sources.of(*node) : nullptr;
    const auto product = source != nullptr ? product_arguments(*source) : std::nullopt;
    if (!product || !source->arg(product->weight).is_node()) continue;
    const at::Tensor wanted = static_value(*folded, source->arg(product->weight));
    const at::Tensor levels = quantized.attr(weight->arg(0).node()->target());
    const QuantRecord grid = grid_at(quantized, *weight);
    const bool is_plain = grid.block_size.empty() && !grid.scale.empty();
    if (!wanted.defined() || !is_plain || wanted.sizes() != levels.sizes()) continue;
    ++found.layers;
    if (is_trained(levels, constant_value(quantized, *weight), grid, wanted)) ++found.trained;
  }
  return found;
}

std::shared_ptr<GraphModule> with_float_values(const GraphModule& quantized) {
  const std::shared_ptr<GraphModule> copy = quantized.copy();
  for (Node* node : copy->graph().nodes()) {
    if (!node->is(Trait::kQuantize) || !node->arg(0).is_node() || is_stored(node->arg(0).node())) continue;
    for (Node* reader : node->users()) {
      if (reader->is(Trait::kDequantize)) reader->replace_all_uses_with(node->arg(0).node());
    }
  }
  copy->graph().eliminate_dead_code();
  copy->erase_unused();
  return copy;
}

}  // namespace octet
