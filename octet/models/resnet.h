#pragma once

#include <array>

#include "octet/models/model.h"

namespace octet {

namespace layers {
class Chain;
}

/// What a ResNet is built from; the defaults are torchvision's resnet18.
struct ResNetOptions {
  /// Blocks of the four stages.
  std::array<int64_t, 4> blocks = {2, 2, 2, 2};
  /// Blocks of 1x1, 3x3 and 1x1 convolutions (resnet50), else of two 3x3 ones.
  bool bottleneck = false;
  int64_t num_classes = 1000;
  int64_t in_channels = 3;
  /// Of the 3x3 convolutions of bottlenecks: torchvision's groups and width_per_group (ResNeXt, Wide ResNet).
  int64_t groups = 1;
  int64_t width_per_group = 64;
};

/// ResNet (He et al. 2015) as torchvision builds it: the same structure, the stride of a bottleneck in its 3x3
/// convolution, parameter names (`layer2.0.downsample.0.weight`, `fc.weight`), order and initialisation.
class ResNet : public Model {
 public:
  using Options = ResNetOptions;
  explicit ResNet(const ResNetOptions& options = {});
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override { return {in_channels_, 224, 224}; }

 private:
  int64_t in_channels_;
  std::vector<std::shared_ptr<layers::Chain>> stages_;
};

}  // namespace octet
