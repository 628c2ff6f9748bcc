#pragma once

#include "octet/models/model.h"

namespace octet {

namespace layers {
class Chain;
}

/// What an EfficientNet-Lite0 is built from.
struct EfficientNetLiteOptions {
  /// As TensorFlow trains it, timm's tf_efficientnet_lite0: SAME padding, BatchNorm eps 1e-3. Else as timm trains it,
  /// efficientnet_lite0: even padding, eps 1e-5. The names are the same.
  bool tensorflow = false;
  /// Channels of all stages are multiplied by this and rounded to a multiple of 8; those of the first convolution and
  /// the last stay.
  double width = 1.0;
  int64_t num_classes = 1000;
  int64_t in_channels = 3;
  /// Probability of the dropout in front of the classifier.
  double dropout = 0.2;
};

/// EfficientNet-Lite0 (EfficientNet without squeezing, ReLU6 for swish) with timm's parameter names
/// (`conv_stem.weight`, `blocks.1.0.conv_dw.weight`, `classifier.weight`), order and initialisation.
class EfficientNetLite : public Model {
 public:
  using Options = EfficientNetLiteOptions;
  explicit EfficientNetLite(const EfficientNetLiteOptions& options = {});
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override { return {options_.in_channels, 224, 224}; }

 private:
  EfficientNetLiteOptions options_;
  std::shared_ptr<layers::Chain> blocks_;
};

}  // namespace octet
