#include "octet/quantize/qdq.h"

#include "octet/formats/dtype.h"

namespace octet {

bool is_operator(const Node& node) {
  return node.is_call() && !node.is(Trait::kQuantize) && !node.is(Trait::kDequantize);
}

bool is_quantized(const GraphModule& module) {
  const std::vector<Node*> nodes = module.graph().nodes();
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const Node* node) { return node->is(Trait::kQuantize) || node->is(Trait::kDequantize); });
}

const Node* chooser_of(const Node& node) {
  if (!node.has_arg("scale") || !node.arg("scale").is_node()) return nullptr;
  const Node* element = node.arg("scale").node();
  if (element->kind() != NodeKind::kGetItem) return nullptr;
  const Node* choose = element->arg(size_t{0}).node();
  return choose != nullptr && choose->is_call() ? choose : nullptr;
}

QuantRecord grid_at(const GraphModule& module, const Node& node) {
  QuantRecord found;
  const auto tensor = [&](const char* name) -> std::optional<at::Tensor> {
    const auto index = node.has_arg(name) ? &node.arg(name) : nullptr;
    if (index == nullptr || !index->is_node() || !index->node()->is_get_attr()) return std::nullopt;
    return module.attr(index->node()->target()).detach().cpu();
  };
  const char* scale_name = node.has_arg("scales") ? "scales" : "scale";
  const char* zero_point_name = node.has_arg("zero_points") ? "zero_points" : "zero_point";
  if (const auto scales = tensor(scale_name)) {
    const at::Tensor values = scales->to(at::kDouble).contiguous();
    found.scale.assign(values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
  } else if (node.arg(scale_name).is_constant()) {
    found.scale = {node.arg(scale_name).to_double()};
  }
  if (const auto zero_points = tensor(zero_point_name)) {
    const at::Tensor values = zero_points->to(at::kLong).contiguous();
    found.zero_point.assign(values.data_ptr<int64_t>(), values.data_ptr<int64_t>() + values.numel());
  } else if (node.arg(zero_point_name).is_constant() && !node.arg(zero_point_name).is_none()) {
    found.zero_point = {node.arg(zero_point_name).to_int()};
  }
  if (const Node* choose = chooser_of(node)) {
    const std::string& op = choose->target();
    found.dynamic = op.substr(op.find('.') + 1);
    if (choose->has_arg("eps") && choose->arg("eps").is_constant()) found.eps = choose->arg("eps").to_double();
  }
  if (node.has_arg("axis")) found.axis = node.arg("axis").to_int();
  if (node.has_arg("quant_min") && node.arg("quant_min").is_constant()) {
    found.quant_min = node.arg("quant_min").to_int();
    found.quant_max = node.arg("quant_max").to_int();
  }
  found.dtype = dtype_name(static_cast<at::ScalarType>(node.arg("dtype").to_int()));
  return found;
}

}  // namespace octet
