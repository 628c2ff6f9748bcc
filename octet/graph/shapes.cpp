#include <ATen/core/grad_mode.h>

#include "octet/graph/graph_module.h"
#include "octet/graph/state_guard.h"
#include "octet/support/error.h"

namespace octet {
namespace {

TensorMeta meta_of(const at::Tensor& tensor) { return {tensor.scalar_type(), tensor.sizes().vec()}; }

}  // namespace

void propagate_shapes(GraphModule& module, const std::vector<at::Tensor>& inputs) {
  const at::NoGradGuard no_grad;
  const StateGuard guard(module.buffers());
  module.run_observed(inputs, [](const Node& node, const c10::IValue& value) {
    Node& writable = const_cast<Node&>(node);
    writable.set_meta(std::nullopt);
    writable.set_element_metas({});
    if (value.isTensor() && value.toTensor().defined()) {
      writable.set_meta(meta_of(value.toTensor()));
    } else if (value.isTuple() || value.isTensorList()) {
      std::vector<TensorMeta> metas;
      const auto add = [&](const c10::IValue& element) {
        metas.push_back(element.isTensor() && element.toTensor().defined() ? meta_of(element.toTensor())
                                                                           : TensorMeta{});
      };
      if (value.isTuple()) {
        for (const auto& element : value.toTupleRef().elements()) add(element);
      } else {
        for (const at::Tensor& element : value.toTensorVector()) metas.push_back(meta_of(element));
      }
      writable.set_element_metas(std::move(metas));
    }
  });
}

void propagate_shapes(GraphModule& module) { propagate_shapes(module, example_inputs(module)); }

std::vector<at::Tensor> example_inputs(const GraphModule& module, int64_t batch) {
  std::vector<at::Tensor> inputs;
  for (const Node* node : module.graph().placeholders()) {
    if (!node->meta()) throw Error(node->where(), "the input's shape is not known");
    std::vector<int64_t> sizes = node->meta()->sizes;
    if (batch > 0 && !sizes.empty()) sizes[0] = batch;
    inputs.push_back(at::zeros(sizes, at::TensorOptions(node->meta()->dtype)));
  }
  return inputs;
}

}  // namespace octet
