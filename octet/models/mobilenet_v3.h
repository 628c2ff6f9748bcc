#pragma once

#include "octet/models/model.h"

namespace octet {

namespace layers {
class Chain;
}

/// What a MobileNetV3 is built from; the defaults are torchvision's.
struct MobileNetV3Options {
  /// The large network, else the small one.
  bool large = false;
  /// Channels of every layer but the squeezed ones and the last convolution are multiplied by this and rounded to a
  /// multiple of 8: torchvision's width_mult.
  double width = 1.0;
  int64_t num_classes = 1000;
  int64_t in_channels = 3;
  /// Probability of the dropout in front of the last linear.
  double dropout = 0.2;
};

/// MobileNetV3 (Howard et al. 2019) as torchvision builds it: the same structure, parameter names
/// (`features.1.block.1.fc1.weight`, `classifier.3.weight`), BatchNorms (eps 1e-3, momentum 0.01), initialisation.
class MobileNetV3 : public Model {
 public:
  using Options = MobileNetV3Options;
  explicit MobileNetV3(const MobileNetV3Options& options = {});
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override { return {options_.in_channels, 224, 224}; }

 private:
  MobileNetV3Options options_;
  std::shared_ptr<layers::Chain> features_;
  std::shared_ptr<layers::Chain> classifier_;
};

}  // namespace octet
