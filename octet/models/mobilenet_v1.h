#pragma once

#include "octet/models/model.h"

namespace octet {

namespace layers {
class Chain;
}

/// What a MobileNetV1 is built from; the defaults are MLPerf Tiny's.
struct MobileNetV1Options {
  /// Times the channels of every layer (32 to 1024), rounded to a multiple of 8.
  double width = 0.25;
  int64_t num_classes = 2;
  int64_t in_channels = 3;
};

/// MobileNetV1 (Howard et al. 2017) as MLPerf Tiny's visual wake words have it, on images [batch, 3, 96, 96]: a 3x3
/// convolution of stride 2, thirteen separable blocks, average pool, linear. Returns logits. Parameters `conv`, `bn`,
/// `blocks.{0-12}.{depthwise,bn1,pointwise,bn2}`, `fc`, in the order of the benchmark's Keras layers. Padding SAME,
/// convolutions with biases, BatchNorm eps 1e-3.
class MobileNetV1 : public Model {
 public:
  using Options = MobileNetV1Options;
  explicit MobileNetV1(const MobileNetV1Options& options = {});
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override { return {options_.in_channels, 96, 96}; }

 private:
  MobileNetV1Options options_;
  std::shared_ptr<layers::Chain> blocks_;
};

}  // namespace octet
