#include "octet/train/qat.h"

#include <utility>

#include "octet/kernels/recycled_memory.h"
#include "octet/quantize/calibrate.h"
#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/learned_scales.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/quantize_pt2e.h"

namespace octet {
namespace {

// On samples as training draws them.
void calibrate_first(GraphModule& prepared, const std::shared_ptr<const DataSource>& data, const TrainOptions& options,
                     int64_t samples) {
  const Loader loader(data, {.batch_size = std::min(options.batch_size, std::max<int64_t>(1, data->size())),
                             .shuffle = true,
                             .samples = samples,
                             .seed = options.seed,
                             .workers = options.workers,
                             .transform = options.transform});
  std::vector<std::vector<at::Tensor>> batches;
  for (Batch& batch : loader.epoch(0)) batches.push_back(std::move(batch.inputs));
  prepared.train(false);
  calibrate(prepared, batches);
  prepared.train(true);
}

// Until when observers find ranges.
struct Watching {
  int64_t observed_epochs;
  bool observing = true;
};

}  // namespace

QatResult train_qat(std::shared_ptr<GraphModule> model, Quantizer& quantizer, std::shared_ptr<const DataSource> data,
                    const QatOptions& options, const TrainHooks& hooks, std::shared_ptr<const DataSource> evaluation,
                    Progress* progress) {
  LearnedScalesQuantizer with_learned_scales(quantizer);
  Quantizer& chosen = options.learn_scales ? with_learned_scales : quantizer;
  auto prepared = move_exported_model_to_train(prepare_qat_pt2e(std::move(model), chosen));
  FrozenLayers frozen;
  if (!options.freeze.empty()) frozen = freeze_layers(*prepared, options.freeze);
  const int64_t calibrated =
      options.learn_scales && options.calibrated_samples == 0 ? QatOptions::kWarmStart : options.calibrated_samples;
  if (calibrated > 0) calibrate_first(*prepared, data, options.train, calibrated);
  std::vector<at::Tensor> scales;
  if (options.learn_scales) scales = start_learning_scales(*prepared);

  Watching watching{options.freeze_observers_after >= 0 ? options.freeze_observers_after
                                                        : std::max<int64_t>(1, (options.train.epochs + 2) / 3)};
  const auto switch_observers = [&] {
    prepared->apply(watching.observing && !options.learn_scales ? enable_observer : disable_observer);
  };
  ModelHandle handle = model_handle(prepared);
  handle.parameters.insert(handle.parameters.end(), scales.begin(), scales.end());
  handle.without_decay = scales;
  handle.set_training = [&](bool on) {
    prepared->train(on);
    if (on) {
      switch_observers();
    } else {
      prepared->apply(disable_observer);
    }
  };

  TrainOptions training = options.train;
  const int64_t reestimated = training.reestimate_batches;
  const bool freezes = options.freeze_bn_after >= 0 && options.freeze_bn_after < training.epochs;
  if (freezes) training.reestimate_batches = 0;  // done where they are frozen
  const Trainer* loop = nullptr;
  int64_t begun_within = -1;  // the epoch in whose middle the run goes on
  TrainHooks with_freezing = hooks;
  with_freezing.on_start = [&](const ModelHandle& started, TrainState& state) {
    if (hooks.on_start) hooks.on_start(started, state);
    begun_within = state.tally.batches > 0 ? state.epoch : -1;
  };
  with_freezing.on_epoch_begin = [&](int64_t epoch) {
    if (epoch >= watching.observed_epochs) {
      watching.observing = false;
      prepared->apply(disable_observer);
    }
    if (freezes && epoch >= options.freeze_bn_after) {
      if (reestimated > 0 && epoch == options.freeze_bn_after && epoch != begun_within) {
        const bool observing = std::exchange(watching.observing, false);
        loop->reestimate(epoch, reestimated);
        watching.observing = observing;
        switch_observers();
      }
      freeze_bn_stats(*prepared);
    }
    if (hooks.on_epoch_begin) hooks.on_epoch_begin(epoch);
  };
  const Trainer trainer(handle, std::move(data), training, with_freezing, std::move(evaluation), progress, "qat");
  loop = &trainer;
  QatResult result;
  TrainState state = trainer.start();
  trainer.run(state);
  watching.observing = false;
  trainer.finish(state);
  release_recycled_memory();
  unfreeze_layers(*prepared, frozen);
  result.training = std::move(state.result);
  result.quantized = finish(prepared, chosen);
  return result;
}

}  // namespace octet
