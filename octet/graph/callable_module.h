#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <vector>

#include "octet/support/api.h"

namespace octet {

/// A submodule that a graph can call: observers, fake quantizers, the simulated conv-bn.
class OCTET_API CallableModule : public torch::nn::Module {
 public:
  using torch::nn::Module::Module;
  /// Inputs are the node's arguments; absent optional tensors come as undefined tensors.
  virtual at::Tensor call(const std::vector<at::Tensor>& inputs) = 0;
  /// A deep copy: own buffers, own submodules.
  virtual std::shared_ptr<CallableModule> copy() const = 0;
  /// Called on each copy once a whole graph module was copied: what refers to other submodules (a derived observer to
  /// its sources) turns to their copies. `twin` gives the copy of an original, or nullptr where that is no part of the
  /// graph.
  virtual void relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) {}
};

}  // namespace octet
