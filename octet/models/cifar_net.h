#pragma once

#include "octet/models/model.h"

namespace octet {

/// The small CIFAR-10 network of NXP's examples: three 5x5 convolutions on input padded by 2, max pools, one linear,
/// softmax. No BatchNorm, no activations between. Parameters `conv1`, `conv2`, `conv3`, `fc`; input [batch, 3, 32, 32].
class CifarNet : public Model {
 public:
  explicit CifarNet(int64_t num_classes = 10);
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override { return {3, 32, 32}; }
};

}  // namespace octet
