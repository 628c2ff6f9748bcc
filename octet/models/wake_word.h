#pragma once

#include "octet/models/model.h"

namespace octet {

namespace layers {
class Chain;
}

/// What a WakeWord is built from; the defaults are MLPerf Tiny's.
struct WakeWordOptions {
  /// Times the 128 channels between, rounded to a multiple of 8.
  double width = 1.0;
  int64_t num_classes = 3;
  /// Log-mel bands of a frame.
  int64_t in_channels = 40;
};

/// MLPerf Tiny's streaming wake word network on 30 frames [batch, 40, 30, 1]: four separable convolutions along time,
/// without padding, of 3, 5, 10 and 15 frames, and a linear on the one frame that is left. Returns logits. Parameters
/// `blocks.{0-3}.{depthwise,pointwise,bn}`, `fc`; only the BatchNorms (eps 1e-3) and the linear have biases.
class WakeWord : public Model {
 public:
  using Options = WakeWordOptions;
  explicit WakeWord(const WakeWordOptions& options = {});
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override { return {options_.in_channels, 30, 1}; }

 private:
  WakeWordOptions options_;
  std::shared_ptr<layers::Chain> blocks_;
};

}  // namespace octet
