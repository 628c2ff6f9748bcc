#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <vector>

#include "octet/support/api.h"

namespace octet {

/// A C++ model with one input and one output. What octet::export_module, octet::train and torch optimizers take.
class OCTET_API Model : public torch::nn::Module {
 public:
  using torch::nn::Module::Module;

  /// `x`: float32 [batch, ...sample_shape()], images as [batch, channels, height, width]. Returns logits
  /// [batch, classes]; of an autoencoder values as the input's.
  virtual at::Tensor forward(const at::Tensor& x) = 0;
  at::Tensor operator()(const at::Tensor& x) { return forward(x); }

  /// One sample without the batch: {channels, height, width} of an image.
  virtual std::vector<int64_t> sample_shape() const = 0;
};

}  // namespace octet
