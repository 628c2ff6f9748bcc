#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <vector>

namespace octet {

/// A submodule that a graph can call: observers, fake quantizers, the simulated conv-bn.
class CallableModule : public torch::nn::Module {
 public:
  using torch::nn::Module::Module;
  /// Inputs are the node's arguments; absent optional tensors come as undefined tensors.
  virtual at::Tensor call(const std::vector<at::Tensor>& inputs) = 0;
  /// A deep copy: own buffers, own submodules.
  virtual std::shared_ptr<CallableModule> copy() const = 0;
};

}  // namespace octet
