#pragma once

#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

namespace octet {

/// torch::optim::SGD, its step by libtorch's fused kernel: one pass over all parameters of a group. State, options and
/// formula are SGD's; groups that the kernel does not take (other devices, gradients in another layout), and those of
/// the reference path, go SGD's way.
class FusedSgd : public torch::optim::SGD {
 public:
  using SGD::SGD;
  at::Tensor step(LossClosure closure = nullptr) override;
};

/// The same of torch::optim::AdamW.
class FusedAdamW : public torch::optim::AdamW {
 public:
  using AdamW::AdamW;
  at::Tensor step(LossClosure closure = nullptr) override;
};

}  // namespace octet
