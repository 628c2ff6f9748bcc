#include "octet/graph/stats.h"

namespace octet {
namespace {

using Sizes = std::vector<int64_t>;

std::optional<Sizes> sizes_of(const GraphModule& module, const Arg& arg) {
  const Node* node = arg.node();
  if (node == nullptr) return std::nullopt;
  if (node->meta()) return node->meta()->sizes;
  if (node->is_get_attr() && module.has_attr(node->target())) return module.attr(node->target()).sizes().vec();
  return std::nullopt;
}

int64_t product(const Sizes& sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) result *= size;
  return result;
}

bool is_one_of(std::string_view packet, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), packet) != names.end();
}

}  // namespace

int64_t macs(const GraphModule& module, const Node& node) {
  if (!node.is_call() || !node.meta()) return 0;
  const std::string_view packet = node.op().packet();
  const int64_t outputs = node.meta()->numel();
  const bool convolves =
      is_one_of(packet, {"aten.conv1d", "aten.conv2d", "aten.conv3d", "aten.convolution", "aten._convolution"});
  const bool spreads = is_one_of(packet, {"aten.conv_transpose1d", "aten.conv_transpose2d", "aten.conv_transpose3d"});
  if (convolves || spreads) {
    const auto input = sizes_of(module, node.arg(0));
    const auto weight = sizes_of(module, node.arg(1));
    if (!weight || weight->empty() || (*weight)[0] == 0) return 0;
    const int64_t per_element =
        product(*weight) / (*weight)[0];  // the first dimension is the output, transposed the input
    const bool transposed = spreads || (node.has_arg("transposed") && node.arg("transposed").to_bool());
    if (!transposed) return outputs * per_element;
    return input ? product(*input) * per_element : 0;
  }
  // outputs times the length of the sums: the last dimension of the left factor
  size_t left = SIZE_MAX;
  if (is_one_of(packet, {"aten.linear", "aten.mm", "aten.bmm", "aten.matmul", "aten.mv", "aten.dot"})) left = 0;
  if (is_one_of(packet, {"aten.addmm", "aten.baddbmm"})) left = 1;
  if (left == SIZE_MAX) return 0;
  const auto factor = sizes_of(module, node.arg(left));
  return factor && !factor->empty() ? outputs * factor->back() : 0;
}

ModelStats model_stats(const GraphModule& module) {
  ModelStats stats;
  for (const Node* node : module.graph().nodes()) {
    if (!node->is_call() && node->kind() != NodeKind::kCallModule) continue;
    NodeStats row;
    row.name = node->name();
    row.op = node->target();
    row.shape = node->meta() ? node->meta()->text() : "";
    row.macs = macs(module, *node);
    for (const Node* input : node->inputs()) {
      if (input->is_get_attr() && module.has_attr(input->target()) &&
          module.attr_kind(input->target()) == AttrKind::kParameter) {
        row.parameters += module.attr(input->target()).numel();
      }
    }
    if (node->is_call()) ++stats.op_counts[node->target()];
    stats.macs += row.macs;
    stats.nodes.push_back(std::move(row));
  }
  for (const std::string& name : module.attr_names()) {
    const at::Tensor tensor = module.attr(name);
    if (module.attr_kind(name) == AttrKind::kParameter) {
      stats.parameters += tensor.numel();
      stats.parameter_bytes += static_cast<int64_t>(tensor.nbytes());
    } else {
      stats.buffer_bytes += static_cast<int64_t>(tensor.nbytes());
    }
  }
  return stats;
}

}  // namespace octet
