#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "octet/train/data_source.h"
#include "octet/train/evaluate.h"
#include "octet/train/model_handle.h"
#include "octet/train/optimizer.h"
#include "octet/train/schedule.h"
#include "octet/train/transforms.h"

namespace octet {

class Progress;

struct TrainOptions {
  int64_t epochs = 1;
  int64_t batch_size = 128;
  int64_t samples_per_epoch = 0;  ///< drawn anew each epoch; 0: all
  double learning_rate = 0.1;
  OptimizerOptions optimizer;
  ScheduleKind schedule = ScheduleKind::kCosine;
  double warmup_epochs = 0;
  int64_t step_epochs = 1;      ///< kStep: the rate falls every so many epochs
  double step_factor = 0.1;     ///< kStep: to this part of itself
  double final_fraction = 0.0;  ///< kCosine: ends at this part of learning_rate
  double label_smoothing = 0.0;
  double clip_norm = 0.0;  ///< of all gradients together; 0: no clipping
  uint64_t seed = 0;       ///< of the order, the augmentation and dropout
  /// Inputs and convolution weights in channels-last layout: two to three times as fast on the CPU. The weights keep
  /// the layout.
  bool channels_last = true;
  bool drop_last = true;
  int64_t workers = 1;
  /// For input 0; see standard_transform.
  Transform transform = {};
  Transform eval_transform = {};
};

struct StepInfo {
  int64_t epoch = 0;
  int64_t step = 0;  ///< within the epoch
  int64_t steps_per_epoch = 0;
  double learning_rate = 0;
  double loss = 0;  ///< of this step
  double top1 = 0;  ///< of the epoch so far, 0 to 1
};

struct EpochInfo {
  int64_t epoch = 0;
  double loss = 0;  ///< mean over the epoch, as trained (with label smoothing)
  double top1 = 0;  ///< on the training batches
  double top5 = 0;
  double seconds = 0;  ///< without evaluation
  double images_per_second = 0;
  std::optional<Accuracy> evaluation;  ///< where there is evaluation data
  /// Best so far, by the evaluation's top-1, else by the training loss.
  bool best = false;
};

/// Where a program steps in: freezing observers and BatchNorm, saving checkpoints.
struct TrainHooks {
  /// After the model is put in train mode, so what this freezes stays frozen for the epoch.
  std::function<void(int64_t epoch)> on_epoch_begin;
  std::function<void(const StepInfo&)> on_step;
  /// After the evaluation. The place to save the last and, where `best`, the best state.
  std::function<void(const EpochInfo&)> on_epoch_end;
};

struct TrainResult {
  std::vector<EpochInfo> epochs;
  double seconds = 0;  ///< training alone
  int64_t images = 0;
  int64_t best_epoch = 0;
};

/// Minimises cross entropy over `data`. With `evaluation`, measures it after every epoch. The same seed, data and
/// number of threads give the same weights to the bit. The model stays in the mode of the last thing it did. Throws
/// octet::Error where there are no labels, less than a batch of samples, or the loss stops being a number.
TrainResult train(const ModelHandle& model, std::shared_ptr<const Dataset> data, const TrainOptions& options,
                  const TrainHooks& hooks = {}, std::shared_ptr<const Dataset> evaluation = nullptr,
                  Progress* progress = nullptr, const std::string& title = "train");

}  // namespace octet
