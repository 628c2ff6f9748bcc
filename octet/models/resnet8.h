#pragma once

#include "octet/models/model.h"

namespace octet {

struct ResNet8Options {
  int64_t num_classes = 10;
  int64_t in_channels = 3;
  /// As the benchmark's Keras definition: SAME padding, BatchNorm's eps 1e-3 and momentum 0.01. Else torch's,
  /// padding 1.
  bool tensorflow = false;
};

/// MLPerf Tiny's CIFAR-10 ResNet8: a 3x3 convolution to 16 channels, three residual stacks of 16, 32 and 64 channels
/// with strides 1, 2, 2 (1x1 convolutions on the shortcuts of the strided ones), average pool, linear. Returns logits.
/// Parameters `conv`, `bn`, `stack{1,2,3}.{conv1,bn1,conv2,bn2,shortcut}`, `fc`; 78,186 for 10 classes and 3 channels.
class ResNet8 : public Model {
 public:
  using Options = ResNet8Options;
  explicit ResNet8(const ResNet8Options& options = {});
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override { return {in_channels_, 32, 32}; }

 private:
  int64_t in_channels_;
};

}  // namespace octet
