#pragma once

#include "octet/models/model.h"

namespace octet {

struct CifarNetOptions {
  int64_t num_classes = 10;
  int64_t in_channels = 3;
};

/// The small CIFAR-10 network of NXP's examples: three 5x5 convolutions on input padded by 2, max pools, one linear,
/// softmax. No BatchNorm, no activations between. Parameters `conv1`, `conv2`, `conv3`, `fc`; input [batch, channels,
/// 32, 32], result probabilities.
class CifarNet : public Model {
 public:
  using Options = CifarNetOptions;
  explicit CifarNet(const CifarNetOptions& options = {});
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override { return {in_channels_, 32, 32}; }

 private:
  int64_t in_channels_;
};

}  // namespace octet
