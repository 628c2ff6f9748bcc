#pragma once

#include "octet/models/model.h"

namespace octet {

namespace layers {
class Chain;
}

/// What an Autoencoder is built from; the defaults are MLPerf Tiny's.
struct AutoencoderOptions {
  /// Numbers of a sample: 5 frames of 128 log-mel bands.
  int64_t features = 640;
};

/// MLPerf Tiny's network for anomalies in the sounds of machines, on [batch, 640]: linears to 128 four times, to 8, to
/// 128 four times, each with BatchNorm (eps 1e-3) and ReLU, and one back to 640. Gives the input again: the squared
/// error says how unusual it is. Parameters `layers.{0-8}.{0,1}` (linear, BatchNorm), `out`; 267,928, and with the
/// BatchNorms' statistics the benchmark's 269,992.
class Autoencoder : public Model {
 public:
  using Options = AutoencoderOptions;
  explicit Autoencoder(const AutoencoderOptions& options = {});
  at::Tensor forward(const at::Tensor& x) override;
  std::vector<int64_t> sample_shape() const override { return {options_.features}; }

 private:
  AutoencoderOptions options_;
  std::shared_ptr<layers::Chain> layers_;
};

}  // namespace octet
