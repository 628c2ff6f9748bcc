#include "octet/targets/xnnpack/warnings.h"

#include <map>

#include "octet/quantize/qdq.h"
#include "octet/support/error.h"
#include "octet/targets/xnnpack/memory_order.h"

namespace octet::xnnpack {
namespace {

using targets::Warning;

bool is_affine_dequantize(const Node* node) {
  return node != nullptr && node->is_call() && node->target().rfind("torchao.dequantize_affine", 0) == 0;
}

void warn_of_weight_alone(const Node& node, std::vector<Warning>& found) {
  if (!node.is(Trait::kLinear) || !node.has_arg("weight") || !is_affine_dequantize(node.arg("weight").node())) return;
  if (is_affine_dequantize(node.arg("input").node())) return;
  found.push_back({node.where(),
                   "its weight alone is quantized, by torchao's dequantize_affine: ExecuTorch's XNNPACK backend takes "
                   "it and computes garbage (-105 to -9 dB)",
                   "quantize its activations too, by a mode with dynamic in its name"});
}

std::vector<int64_t> kernel_of(const Node& conv) {
  const Node* weight = conv.arg("weight").node();
  if (weight == nullptr || !weight->meta() || weight->meta()->rank() < 3) return {};
  return {weight->meta()->sizes.begin() + 2, weight->meta()->sizes.end()};
}

// By the value that is quantized in each run: the convolution that reads it first.
using FirstReaders = std::map<const Node*, const Node*>;

// The value that a convolution reads on a grid of each run; nullptr: none.
const Node* dynamic_input(const Node& node) {
  if (!node.is(Trait::kConvolution)) return nullptr;
  const Node* dequantize = node.arg("input").node();
  if (dequantize == nullptr || !dequantize->is(Trait::kDequantize) || chooser_of(*dequantize) == nullptr)
    return nullptr;
  const Node* quantize = dequantize->arg(size_t{0}).node();
  return quantize != nullptr && quantize->is_call() ? quantize->arg(size_t{0}).node() : nullptr;
}

void warn_of_kernel_sizes(const Node& node, FirstReaders& first, std::vector<Warning>& found) {
  const Node* value = dynamic_input(node);
  if (value == nullptr) return;
  const auto [known, fresh] = first.emplace(value, &node);
  if (fresh || kernel_of(*known->second) == kernel_of(node)) return;
  found.push_back(
      {node.where(),
       octet::str("it reads the dynamic grid of ", value->where(), " with another kernel size than ",
                  known->second->where(), ": ExecuTorch's XNNPACK backend computes such wrong (-3 to 9 dB)"),
       octet::str("--leave-float '", node.name(), "', or a static mode")});
}

void warn_of_turned_image(const Node& node, MemoryOrder& order, std::vector<Warning>& found) {
  const Node* value = dynamic_input(node);
  if (value == nullptr || !order.is_turned_back(*value)) return;
  found.push_back({node.where(),
                   octet::str("it reads ", value->where(),
                              " on a dynamic grid, whose channels do not lie last (a view, a number or a tensor of "
                              "fewer dimensions than four stands before it): ExecuTorch's XNNPACK backend computes "
                              "such wrong (-2 to 28 dB) or refuses it when it runs"),
                   octet::str("--leave-float '", node.name(),
                              "', a static mode, or a constant of four dimensions where a number or one of fewer is "
                              "added or multiplied")});
}

void warn_of_softmax(const Node& node, const std::unordered_set<const Node*>& behind_convolution,
                     std::vector<Warning>& found) {
  if (!node.is_call("aten.softmax.int") && !node.is_call("aten._softmax.default")) return;
  const Node* input = node.arg(size_t{0}).node();
  if (input == nullptr || !input->meta() || input->meta()->rank() != 4 || !node.arg("dim").is_constant()) return;
  const int64_t dim = node.arg("dim").to_int();
  if ((dim != 3 && dim != -1) || behind_convolution.count(input) == 0) return;
  found.push_back({node.where(),
                   "a softmax over the width behind a convolution: ExecuTorch's XNNPACK backend computes it wrong "
                   "there, where channels lie last (-0.2 dB)",
                   "reshape in front of it to three dimensions"});
}

}  // namespace

std::vector<Warning> runtime_warnings(const GraphModule& quantized) {
  std::vector<Warning> found;
  FirstReaders first;
  MemoryOrder order;
  std::unordered_set<const Node*> behind_convolution;  // with four dimensions all the way
  for (const Node* node : quantized.graph().nodes()) {
    if (!node->is_call()) continue;
    warn_of_weight_alone(*node, found);
    warn_of_kernel_sizes(*node, first, found);
    warn_of_turned_image(*node, order, found);
    warn_of_softmax(*node, behind_convolution, found);
    const std::vector<Node*> inputs = node->inputs();
    const bool follows = std::any_of(inputs.begin(), inputs.end(),
                                     [&](const Node* input) { return behind_convolution.count(input) > 0; });
    const bool images = node->meta() && node->meta()->rank() == 4;
    if (images && (node->is(Trait::kConvolution) || follows)) behind_convolution.insert(node);
  }
  return found;
}

}  // namespace octet::xnnpack
