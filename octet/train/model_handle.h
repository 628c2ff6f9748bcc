#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/running_statistics.h"
#include "octet/support/api.h"

namespace torch::optim {
class Optimizer;
}

namespace octet {

/// What training and evaluation need of a model, whatever it is. Keeps the model alive.
struct ModelHandle {
  /// The model's inputs; returns the result that the task looks at: of a classification logits [samples, classes].
  std::function<at::Tensor(const std::vector<at::Tensor>&)> forward;
  /// What an optimizer updates.
  std::vector<at::Tensor> parameters;
  /// Train or eval mode.
  std::function<void(bool)> set_training;
  /// All that training changes of the model, by name: parameters, buffers, the state of observers. Empty function: the
  /// parameters alone.
  std::function<std::map<std::string, at::Tensor>()> state = {};
  /// The reverse, to the bit. Throws octet::Error that begins with `where` and names the tensor that is missing, too
  /// many, or of another type or size.
  std::function<void(const std::map<std::string, at::Tensor>& state, const std::string& where)> load_state = {};
  /// Where the model's result, or a parameter, stops being finite on these inputs: "[conv2d 'conv'] gives NaN"; empty
  /// where it does not, or nothing can be said.
  std::function<std::string(const std::vector<at::Tensor>&)> where_not_finite = {};
  /// Of `parameters`, those that no weight decay pulls on: scales that are learned.
  std::vector<at::Tensor> without_decay = {};
  /// BatchNorm's running statistics, the tensors themselves.
  std::vector<RunningStatistics> statistics = {};
  /// Images may be given in channels last, which is faster.
  bool takes_channels_last = true;
  /// While its result lives, a forward in train mode leaves the statistics of its batch alone.
  std::function<std::shared_ptr<void>()> keep_last_batch_alone = {};
  /// A step of the optimizer, where not all that it updates is to move; empty: its own.
  std::function<void(torch::optim::Optimizer& optimizer)> step = {};
};

/// A graph: its first result counts.
OCTET_API ModelHandle model_handle(std::shared_ptr<GraphModule> graph);

/// The state of a handle, by its functions or of its parameters.
OCTET_API std::map<std::string, at::Tensor> state_of(const ModelHandle& model);
OCTET_API void load_state(const ModelHandle& model, const std::map<std::string, at::Tensor>& state,
                          const std::string& where);
/// Copies each value into the tensor of its name. Throws as ModelHandle::load_state does.
OCTET_API void copy_by_name(const std::map<std::string, at::Tensor>& values,
                            const std::map<std::string, at::Tensor>& into, const std::string& where);

/// A C++ module with `at::Tensor forward(const at::Tensor&)`.
template <typename M>
ModelHandle model_handle(std::shared_ptr<M> module) {
  const auto state = [module] {
    std::map<std::string, at::Tensor> all;
    for (const auto& item : module->named_parameters()) all.emplace(item.key(), item.value());
    for (const auto& item : module->named_buffers()) all.emplace(item.key(), item.value());
    return all;
  };
  return {[module](const std::vector<at::Tensor>& inputs) { return module->forward(inputs.at(0)); },
          module->parameters(), [module](bool on) { module->train(on); }, state,
          [state](const std::map<std::string, at::Tensor>& values, const std::string& where) {
            copy_by_name(values, state(), where);
          }};
}

}  // namespace octet
