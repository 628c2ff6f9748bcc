#include "octet/quantize/qdq.h"

#include <algorithm>
#include <cctype>
#include <tuple>

#include "octet/formats/dtype.h"
#include "octet/quantize/observer.h"

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
    // A packet's one overload goes without saying.
    const std::string& op = choose->target();
    constexpr std::string_view kDefault = ".default";
    found.dynamic = op.substr(op.find('.') + 1);
    if (found.dynamic.ends_with(kDefault)) found.dynamic.resize(found.dynamic.size() - kDefault.size());
    const auto constant = [&](const char* name) {
      return choose->has_arg(name) && choose->arg(name).is_constant() && !choose->arg(name).is_none();
    };
    if (constant("eps")) found.eps = choose->arg("eps").to_double();
    if (constant("mapping_type")) {
      found.mapping = choose->arg("mapping_type").to_string();
      std::transform(found.mapping.begin(), found.mapping.end(), found.mapping.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    }
  }
  if (node.has_arg("axis")) found.axis = node.arg("axis").to_int();
  if (node.has_arg("block_size") && node.arg("block_size").is_constant()) {
    found.block_size = node.arg("block_size").constant().toIntVector();
  }
  const char* dtype = node.has_arg("output_dtype") && node.is(Trait::kQuantize) ? "output_dtype"
                      : node.has_arg("input_dtype")                             ? "input_dtype"
                                                                                : "dtype";
  const auto stored = static_cast<at::ScalarType>(node.arg(dtype).to_int());
  found.dtype = dtype_name(stored);
  std::tie(found.quant_min, found.quant_max) = dtype_range(stored).value_or(std::pair<int64_t, int64_t>{0, 0});
  const auto take = [&](const char* name, int64_t& bound) {
    if (!node.has_arg(name) || !node.arg(name).is_constant() || node.arg(name).is_none()) return;
    bound = node.arg(name).constant().toScalar().toLong();
  };
  take("quant_min", found.quant_min);
  take("quant_max", found.quant_max);
  return found;
}

}  // namespace octet
