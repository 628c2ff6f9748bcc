#pragma once

#include <string>

#include "octet/support/api.h"
#include "octet/train/trainer.h"

namespace octet {

/// Everything `octet demo` does, in numbers. Transforms are left empty: see standard_transform.
struct DemoRecipe {
  std::string data = "fashion-mnist";
  /// For make_model, with `in_channels` and `num_classes`.
  std::string model = "mobilenet_v2_w050_small";
  int64_t in_channels = 1;
  int64_t num_classes = 10;
  uint64_t seed = 0;

  TrainOptions float_training;
  /// Whether the float training augments beyond mirroring (random crops): it needs more epochs.
  bool crops = false;

  /// Training samples that calibrate the PTQ program, in batches of `calibration_batch`.
  int64_t calibration_samples = 512;
  int64_t calibration_batch = 64;

  /// Starts from the trained float model.
  TrainOptions qat;
  /// From this epoch of `qat` on, counted from 0: see TrainHooks::on_epoch_begin.
  int64_t freeze_observers_after = 1;
  int64_t freeze_bn_after = 1;
  /// Of `qat` with the targets that are shown beside the demo's own: a few of them have to fit minutes too.
  int64_t samples_per_epoch_beside = 0;
};

/// The default fits ten minutes on two cores, with `full` accuracy comes first.
OCTET_API DemoRecipe demo_recipe(bool full = false);

}  // namespace octet
