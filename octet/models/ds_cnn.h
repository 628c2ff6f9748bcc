#pragma once

#include "octet/models/model.h"

namespace octet {

namespace layers {
class Chain;
}

/// What a DS-CNN is built from; the defaults are MLPerf Tiny's.
struct DsCnnOptions {
  /// Times the 64 channels of every layer, rounded to a multiple of 8.
  double width = 1.0;
  int64_t num_classes = 12;
  int64_t in_channels = 1;
  /// Probability of the dropout in front of the classifier; behind the first convolution it is half of it.
  double dropout = 0.4;
};

/// MLPerf Tiny's keyword spotting network on MFCCs [batch, 1, 49, 10]: a 10x4 convolution of stride 2, four separable
/// blocks, average pool, linear. Returns logits. Parameters `conv`, `bn`, `blocks.{0-3}.{depthwise,bn1,pointwise,bn2}`,
/// `fc`, in the order of the benchmark's Keras layers; 23,756 for 12 classes. Padding SAME, BatchNorm eps 1e-3.
class DsCnn : public Model {
 public:
  using Options = DsCnnOptions;
  explicit DsCnn(const DsCnnOptions& options = {});
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override { return {options_.in_channels, 49, 10}; }

 private:
  DsCnnOptions options_;
  std::shared_ptr<layers::Chain> blocks_;
};

}  // namespace octet
