#pragma once

#include <functional>
#include <string>

#include "octet/support/api.h"
#include "octet/train/data_source.h"
#include "octet/train/group.h"
#include "octet/train/loader.h"
#include "octet/train/model_handle.h"
#include "octet/train/optimizer.h"
#include "octet/train/schedule.h"
#include "octet/train/task.h"
#include "octet/train/train_state.h"
#include "octet/train/transforms.h"

namespace octet {

class GradientBuckets;
class Progress;

struct TrainOptions {
  Task task = classification();
  int64_t epochs = 1;
  int64_t batch_size = 128;
  /// Batches whose gradients make one step of the optimizer: as large as memory does not hold at once. Each counts by
  /// its samples; BatchNorm sees each by itself.
  int64_t accumulate = 1;
  int64_t samples_per_epoch = 0;  ///< drawn anew each epoch; 0: all
  double learning_rate = 0.1;
  OptimizerOptions optimizer;
  ScheduleKind schedule = ScheduleKind::kCosine;
  double warmup_epochs = 0;
  int64_t step_epochs = 1;      ///< kStep: the rate falls every so many epochs
  double step_factor = 0.1;     ///< kStep: to this part of itself
  double final_fraction = 0.0;  ///< kCosine: ends at this part of learning_rate
  double clip_norm = 0.0;       ///< of all gradients together; 0: no clipping
  /// The decay of an exponential moving average of parameters and BatchNorm's statistics, which is measured and is what
  /// the run gives (average.h); 0: none.
  double average = 0.0;
  /// Epochs without a better one behind which the run ends, and gives the best one; 0: it goes on to the last and gives
  /// that.
  int64_t patience = 0;
  /// Batches on which BatchNorm's statistics are found anew for what the run gives (reestimate.h); 0: none.
  int64_t reestimate_batches = 0;
  uint64_t seed = 0;  ///< of the order, the augmentation and dropout
  /// Inputs and convolution weights in channels-last layout: two to three times as fast on the CPU. The weights keep
  /// the layout.
  bool channels_last = true;
  bool drop_last = true;
  int64_t workers = 1;
  /// Processes that train this model together, each with its part of every batch of `batch_size`; rank 0 alone
  /// measures. Null: this one alone. The result is that of one process, within the order of float sums, but for dropout
  /// and, where it is not synchronous, BatchNorm.
  std::shared_ptr<Group> group = {};
  /// BatchNorm takes the statistics of the whole batch; else of each part, and its running ones are brought together.
  bool sync_batch_norm = false;
  /// For input 0; see standard_transform.
  Transform transform = {};
  Transform eval_transform = {};
  /// Samples put together in training (mix.h): the same in one process and in several.
  MixOptions mix = {};
};

struct StepInfo {
  int64_t epoch = 0;
  int64_t step = 0;  ///< within the epoch
  int64_t steps_per_epoch = 0;
  double learning_rate = 0;
  double loss = 0;      ///< of this step
  double score = 0;     ///< the task's first metric, of the epoch so far
  int64_t index = 0;    ///< of all steps of the run, from 0
  int64_t samples = 0;  ///< of this step, of all processes
  double seconds = 0;   ///< that this step took
  double waiting = 0;   ///< of these, until the loader had its batches
};

/// Where a program steps in: freezing observers and BatchNorm, saving checkpoints. A hook may throw to stop the run:
/// the state then stands behind the last whole step.
struct TrainHooks {
  /// Before the first step: the place to go on from a checkpoint (checkpoints.h).
  std::function<void(const ModelHandle& model, TrainState& state)> on_start = {};
  /// Behind each step and each epoch, after the others: the place to save one.
  std::function<void(const ModelHandle& model, const TrainState& state)> on_state = {};
  /// After the model is put in train mode, so what this freezes stays frozen for the epoch; also where a run goes on in
  /// the middle of the epoch.
  std::function<void(int64_t epoch)> on_epoch_begin;
  std::function<void(const StepInfo&)> on_step;
  /// After the evaluation. The place to save the last and, where `best`, the best state.
  std::function<void(const EpochInfo&)> on_epoch_end;
};

/// The loop. It holds what a run is made of, and nothing that changes with it: that is the model's and the
/// TrainState's. It runs where the model's parameters are (device.h): batches are brought there.
class OCTET_API Trainer {
 public:
  /// Throws octet::Error for options that make no sense, data without what the task needs, or less than a batch of
  /// samples.
  Trainer(ModelHandle model, std::shared_ptr<const DataSource> data, TrainOptions options, TrainHooks hooks = {},
          std::shared_ptr<const DataSource> evaluation = nullptr, Progress* progress = nullptr,
          std::string title = "train");

  /// The state before the first step.
  TrainState start() const;
  /// Goes on from where `state` stands, to the end of the last epoch, or of one behind which the options say that it is
  /// enough. With evaluation data, measures them after every
  /// epoch. On the CPU the same seed, data and number of threads give the same weights to the bit, in one go or in
  /// several; other devices sum in an order of their own, which may differ from run to run. The
  /// model stays in the mode of the last thing it did. Throws octet::Error where the loss stops being a number, naming
  /// the layer where that begins.
  void run(TrainState& state) const;
  /// Once, behind run(): puts into the model what the options say that the run gives: the best state, or the moving
  /// average, else what it has; BatchNorm's statistics found anew.
  void finish(const TrainState& state) const;
  /// BatchNorm's statistics found anew on the first batches of an epoch, whatever the options say of the end.
  void reestimate(int64_t epoch, int64_t batches) const;

 private:
  void add_gradients(Tally& tally, Batch& batch, int64_t epoch, GradientBuckets* last_of_step) const;
  StepInfo step(TrainState& state, Tally& tally, GradientBuckets* buckets) const;
  void share(const TrainState& state, Tally& tally, GradientBuckets& buckets) const;
  std::optional<Evaluation> measured() const;
  int64_t steps_per_epoch() const;
  bool is_over(const TrainState& state) const;
  void show(const TrainState& state, const StepInfo& info) const;
  void finish_epoch(TrainState& state) const;

  ModelHandle model_;
  std::shared_ptr<const DataSource> data_;
  TrainOptions options_;
  TrainHooks hooks_;
  std::shared_ptr<const DataSource> evaluation_;
  Progress* progress_;
  std::string title_;
  Loader loader_;
  Schedule schedule_;
};

/// A whole run: a Trainer, from its start to its end; `model` has what it gives.
OCTET_API TrainResult train(const ModelHandle& model, std::shared_ptr<const DataSource> data,
                            const TrainOptions& options, const TrainHooks& hooks = {},
                            std::shared_ptr<const DataSource> evaluation = nullptr, Progress* progress = nullptr,
                            const std::string& title = "train");

}  // namespace octet
