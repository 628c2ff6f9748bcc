#include <ATen/ops/ones.h>

#include <unordered_set>

#include "octet/quantize/fold_batch_norm.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Ints = std::vector<int64_t>;

bool can_take_convolution(const Node& batch_norm, bool trains) {
  const Node* input = batch_norm.arg("input").node();
  if (input == nullptr || input->is_get_attr() || !input->meta() || !batch_norm.meta()) return false;
  const int64_t rank = input->meta()->rank();
  if (rank < 2 || rank > 4 || !at::isFloatingType(input->meta()->dtype)) return false;
  if (!is_static(batch_norm.arg("running_mean").node()) || !is_static(batch_norm.arg("running_var").node()))
    return false;
  if (!is_static_or_none(batch_norm.arg("weight")) || !is_static_or_none(batch_norm.arg("bias"))) return false;
  return trains || !batch_norm.arg("training").to_bool();
}

// "features.0.norm.running_mean" -> "features.0.norm.depthwise_weight"
std::string weight_name(const Node& batch_norm) {
  const std::string& mean = batch_norm.arg("running_mean").node()->target();
  return mean.substr(0, mean.rfind('.') + 1) + "depthwise_weight";
}

void put_convolution(GraphModule& module, Node* batch_norm) {
  Graph& graph = module.graph();
  Node* input = batch_norm->arg("input").node();
  const Ints given = input->sizes();
  const bool is_matrix = given.size() == 2;
  Ints sizes = given;
  if (is_matrix) sizes.push_back(1);
  const size_t dims = sizes.size() - 2;
  {
    const auto here = graph.inserting_before(batch_norm);
    if (is_matrix) input = add_call("aten.unsqueeze.default", {input, int64_t{-1}}, sizes, *batch_norm);
    Ints weight_sizes(sizes.size(), 1);
    weight_sizes[0] = given[1];
    // No parameter: the BatchNorm's own are those that train.
    Node* weight = add_attr(module, weight_name(*batch_norm), at::ones(weight_sizes, batch_norm->meta()->dtype),
                            AttrKind::kBuffer);
    Node* conv =
        add_call(dims == 2 ? "aten.conv2d.default" : "aten.conv1d.default",
                 {input, weight, Arg(), Ints(dims, 1), Ints(dims, 0), Ints(dims, 1), given[1]}, sizes, *batch_norm);
    batch_norm->set_arg("input", conv);
  }
  if (!is_matrix) return;
  batch_norm->set_meta(TensorMeta{batch_norm->meta()->dtype, sizes});
  const auto here = graph.inserting_after(batch_norm);
  batch_norm->replace_all_uses_with(add_call("aten.squeeze.dim", {batch_norm, int64_t{-1}}, given, *batch_norm));
}

}  // namespace

bool put_convolutions_before_batch_norms(GraphModule& module, bool trains) {
  std::unordered_set<const Node*> paired;
  for (const ConvBatchNorm& pair : find_conv_batch_norms(module.graph())) paired.insert(pair.batch_norm);
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node& n) { return n.is_call("aten.batch_norm.default"); })) {
    if (paired.count(node) > 0 || !can_take_convolution(*node, trains)) continue;
    put_convolution(module, node);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
