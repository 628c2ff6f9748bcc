#pragma once

#include <memory>
#include <string>

#include "octet/graph/graph_module.h"
#include "octet/quantize/quantizer.h"
#include "octet/support/api.h"
#include "octet/train/partial_update.h"
#include "octet/train/trainer.h"

namespace octet {

struct QatOptions {
  TrainOptions train;
  /// Ranges stop moving after this many epochs; negative: after a third of them, at least one.
  int64_t freeze_observers_after = -1;
  /// BatchNorm statistics stop moving after this many epochs; negative: never.
  int64_t freeze_bn_after = -1;
  /// Scales are learned from calibrated ranges on (learned_scales.h), in place of ranges that are observed.
  bool learn_scales = false;
  /// Training samples on which ranges are calibrated before the first step; 0: none, but kWarmStart where scales are
  /// learned.
  int64_t calibrated_samples = 0;
  static constexpr int64_t kWarmStart = 256;
  /// Layers that are not trained (freeze_layers): a share from the begin, or names; empty: none.
  std::string freeze;
  /// Once ranges are frozen, what stands before the first trained layer runs in the device's integers where it can
  /// (integer_prefix.h).
  bool integer_prefix = true;
  /// The output channels whose weights are trained; with the usual share of 1 all of them.
  PartialUpdateOptions update;
  /// Where it is trained, as ready_device() gave it (device.h): in between, for the model is prepared and converted on
  /// the CPU.
  at::Device device = at::kCPU;
};

struct QatResult {
  std::shared_ptr<GraphModule> quantized;
  TrainResult training;
};

/// Quantization-aware training of a float model: prepare_qat_pt2e, train, finish. `model` becomes the prepared
/// model on the way: pass a copy to keep it. Observers rest during evaluations. Hooks run after the freezing of an
/// epoch. TrainOptions::reestimate_batches counts where BatchNorm's statistics are frozen, else behind the last epoch.
OCTET_API QatResult train_qat(std::shared_ptr<GraphModule> model, Quantizer& quantizer,
                              std::shared_ptr<const DataSource> data, const QatOptions& options,
                              const TrainHooks& hooks = {}, std::shared_ptr<const DataSource> evaluation = nullptr,
                              Progress* progress = nullptr);

}  // namespace octet
