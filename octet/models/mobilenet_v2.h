#pragma once

#include <array>

#include "octet/models/model.h"

namespace octet {

namespace layers {
class Chain;
}

/// What a MobileNetV2 is built from; the defaults are torchvision's.
struct MobileNetV2Options {
  /// Channels of every layer are multiplied by this and rounded to a multiple of `round_nearest`.
  double width = 1.0;
  int64_t num_classes = 1000;
  int64_t in_channels = 3;
  /// Probability of the dropout in front of the classifier.
  double dropout = 0.2;
  int64_t round_nearest = 8;
  /// Channels in front of the classifier; 0: 1280, or 1280 times a width over 1.
  int64_t last_channels = 0;
  /// Strides of the first convolution and of the seven stages of inverted residuals.
  int64_t stem_stride = 2;
  std::array<int64_t, 7> stage_strides = {1, 2, 2, 2, 1, 2, 1};
  /// Height and width that the network is meant for (any other runs too).
  int64_t input_size = 224;

  /// Strides for 32x32 images: 16x16 behind the first convolution, 2x2 at the end. `fine` stays at 16x16 for a stage
  /// longer: more accurate, at twice the time.
  MobileNetV2Options& small_input(bool fine = false);
};

/// MobileNetV2 (Sandler et al. 2018) as torchvision builds it: the same structure, parameter names
/// (`features.0.0.weight`, `features.1.conv.0.0.weight`, `classifier.1.weight`), order and initialisation, so its
/// checkpoints load.
class MobileNetV2 : public Model {
 public:
  using Options = MobileNetV2Options;
  explicit MobileNetV2(const MobileNetV2Options& options = {});
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override;
  const MobileNetV2Options& options() const { return options_; }

 private:
  MobileNetV2Options options_;
  std::shared_ptr<layers::Chain> features_;
  std::shared_ptr<layers::Chain> classifier_;
};

}  // namespace octet
