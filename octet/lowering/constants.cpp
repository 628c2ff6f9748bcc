#include "octet/lowering/constants.h"

#include <ATen/core/grad_mode.h>

#include "octet/graph/constant_value.h"
#include "octet/integer/executor.h"
#include "octet/lowering/constant_data.h"
#include "octet/lowering/rule.h"
#include "octet/quantize/decomposed_ops.h"
#include "octet/quantize/qdq.h"

namespace octet::lowering {
namespace {

tflite::Quantization quantization(const QuantRecord& grid) {
  tflite::Quantization found;
  found.scale.assign(grid.scale.begin(), grid.scale.end());
  found.zero_point = grid.zero_point;
  found.axis = static_cast<int32_t>(grid.axis.value_or(0));
  return found;
}

bool is_permutation(const Node& node) {
  return node.is_call("aten.t.default") || node.is_call("aten.transpose.int") || node.is_call("aten.permute.default");
}

// What the op makes of another tensor in its first input's place.
at::Tensor applied(const Node& node, const at::Tensor& values) {
  torch::jit::Stack stack = {values};
  for (size_t i = 1; i < node.args().size(); ++i) stack.push_back(node.arg(i).constant());
  node.op().handle().callBoxed(&stack);
  return stack.front().toTensor();
}

}  // namespace

std::optional<Constant> constant_of(const GraphModule& module, const Node& node) {
  if (!is_constant_value(node)) return std::nullopt;
  const at::NoGradGuard no_grad;
  if (node.is(Trait::kDequantize)) {
    const Node& levels = *node.arg(size_t{0}).node();
    const QuantRecord grid = grid_at(module, node);
    if (!grid.scale.empty()) return Constant{constant_value(module, levels).cpu(), quantization(grid)};
  }
  if (moves_values(node) && is_auxiliary(node) && node.arg(size_t{0}).is_node()) {
    std::optional<Constant> source = constant_of(module, *node.arg(size_t{0}).node());
    if (source && source->is_quantized() && (source->quantization.scale.size() == 1 || is_permutation(node))) {
      if (source->quantization.scale.size() > 1) {
        // The axis of the scales moves with the one dimension that is told apart from the others.
        std::vector<int64_t> sizes(static_cast<size_t>(source->values.dim()), 1);
        sizes[static_cast<size_t>(source->quantization.axis)] = 2;
        const at::Tensor marked = applied(node, at::zeros(sizes));
        for (int64_t d = 0; d < marked.dim(); ++d) {
          if (marked.size(d) == 2) source->quantization.axis = static_cast<int32_t>(d);
        }
      }
      source->values = applied(node, source->values);
      return source;
    }
  }
  const at::Tensor value = constant_value(module, node).cpu();
  const at::ScalarType type = value.scalar_type();
  const bool stays = type == at::kLong || type == at::kInt || type == at::kBool;
  return Constant{stays ? value : value.to(at::kFloat), {}};
}

Constant quantized(const at::Tensor& values, const Grid& grid) {
  return {decomposed::quantize_per_tensor(values.to(at::kFloat), static_cast<double>(grid.scale), grid.zero_point,
                                          grid.range.low, grid.range.high, integer::scalar_type(grid.type)),
          grid.quantization()};
}

at::Tensor dequantized(const Constant& constant) {
  if (!constant.is_quantized()) return constant.values;
  const tflite::Quantization& grid = constant.quantization;
  const at::ScalarType type = constant.values.scalar_type();
  const auto [low, high] = *tflite::level_range(type_of(type, "constant"));
  if (grid.scale.size() == 1) {
    return decomposed::dequantize_per_tensor(constant.values, static_cast<double>(grid.scale[0]), grid.zero_point[0],
                                             low, high, type);
  }
  return decomposed::dequantize_per_channel(constant.values, at::tensor(at::ArrayRef<float>(grid.scale)),
                                            at::tensor(at::ArrayRef<int64_t>(grid.zero_point)), grid.axis, low, high,
                                            type);
}

Constant permuted(const Constant& constant, const std::vector<int64_t>& order) {
  Constant result = constant;
  result.values = constant.values.permute(order).contiguous();
  if (constant.quantization.scale.size() > 1) {
    const auto place = std::find(order.begin(), order.end(), constant.quantization.axis);
    result.quantization.axis = static_cast<int32_t>(place - order.begin());
  }
  return result;
}

}  // namespace octet::lowering
