#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "octet/graph/graph_module.h"

namespace octet {

/// What training and evaluation need of a model, whatever it is. Keeps the model alive.
struct ModelHandle {
  /// The model's inputs; returns the result that the task looks at: of a classification logits [samples, classes].
  std::function<at::Tensor(const std::vector<at::Tensor>&)> forward;
  /// What an optimizer updates.
  std::vector<at::Tensor> parameters;
  /// Train or eval mode.
  std::function<void(bool)> set_training;
};

/// A graph: its first result counts.
inline ModelHandle model_handle(std::shared_ptr<GraphModule> graph) {
  return {[graph](const std::vector<at::Tensor>& inputs) { return graph->run(inputs).at(0); }, graph->parameters(),
          [graph](bool on) { graph->train(on); }};
}

/// A C++ module with `at::Tensor forward(const at::Tensor&)`.
template <typename M>
ModelHandle model_handle(std::shared_ptr<M> module) {
  return {[module](const std::vector<at::Tensor>& inputs) { return module->forward(inputs.at(0)); },
          module->parameters(), [module](bool on) { module->train(on); }};
}

}  // namespace octet
