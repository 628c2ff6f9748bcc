#include "octet/lowering/stats.h"

#include "octet/lowering/rule.h"

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

int64_t count_of(const Sizes& sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) result *= size;
  return result;
}

}  // namespace

namespace lowering::macs_of {

// The weight's first dimension is the output, of a transposed convolution the input.
int64_t convolution(const GraphModule& module, const Node& node) {
  const auto weight = sizes_of(module, node.arg(1));
  if (!weight || weight->empty() || (*weight)[0] == 0) return 0;
  return node.meta()->numel() * (count_of(*weight) / (*weight)[0]);
}

int64_t transposed_convolution(const GraphModule& module, const Node& node) {
  const auto input = sizes_of(module, node.arg(0));
  const auto weight = sizes_of(module, node.arg(1));
  if (!input || !weight || weight->empty() || (*weight)[0] == 0) return 0;
  return count_of(*input) * (count_of(*weight) / (*weight)[0]);
}

int64_t either_convolution(const GraphModule& module, const Node& node) {
  return node.arg("transposed").to_bool() ? transposed_convolution(module, node) : convolution(module, node);
}

namespace {

// Outputs times the length of the sums: the last dimension of the left factor.
int64_t of_factor(const GraphModule& module, const Node& node, size_t left) {
  const auto factor = sizes_of(module, node.arg(left));
  return factor && !factor->empty() ? node.meta()->numel() * factor->back() : 0;
}

}  // namespace

int64_t product(const GraphModule& module, const Node& node) { return of_factor(module, node, 0); }

int64_t added_product(const GraphModule& module, const Node& node) { return of_factor(module, node, 1); }

}  // namespace lowering::macs_of

int64_t macs(const GraphModule& module, const Node& node) {
  const lowering::OperatorRow* row = lowering::find_operator(node);
  return row != nullptr && row->macs != nullptr && node.meta() ? row->macs(module, node) : 0;
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
