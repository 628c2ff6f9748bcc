#pragma once
// Internal to octet/graph.

#include <ATen/ATen.h>

#include <utility>
#include <vector>

namespace octet {

/// Tensors that a run may change in place go back to what they were: statistics of a BatchNorm in train mode,
/// observers.
class StateGuard {
 public:
  explicit StateGuard(const std::vector<at::Tensor>& tensors) {
    for (const at::Tensor& tensor : tensors) {
      if (tensor.defined()) saved_.emplace_back(tensor, tensor.detach().clone());
    }
  }
  ~StateGuard() {
    const at::NoGradGuard no_grad;
    for (auto& [tensor, value] : saved_) {
      if (tensor.sizes() == value.sizes()) {
        tensor.copy_(value);
      } else {
        tensor.set_(value);
      }
    }
  }
  StateGuard(const StateGuard&) = delete;
  StateGuard& operator=(const StateGuard&) = delete;

 private:
  std::vector<std::pair<at::Tensor, at::Tensor>> saved_;
};

}  // namespace octet
