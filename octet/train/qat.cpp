#include "octet/train/qat.h"

#include <utility>

#include "octet/kernels/recycled_memory.h"
#include "octet/quantize/calibrate.h"
#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/learned_scales.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/log.h"
#include "octet/train/dead_channels.h"
#include "octet/train/device.h"
#include "octet/train/integer_prefix.h"
#include "octet/train/statistics_gap.h"

namespace octet {
namespace {

// Of samples as training draws them; `samples` of them, 0: all.
Loader loader_of(const std::shared_ptr<const DataSource>& data, const TrainOptions& options, int64_t samples,
                 at::Device device) {
  return {data,
          {.batch_size = std::min(options.batch_size, std::max<int64_t>(1, data->size())),
           .shuffle = true,
           .samples = samples,
           .seed = options.seed,
           .workers = options.workers,
           .transform = options.transform,
           .device = device}};
}

void calibrate_first(GraphModule& prepared, const std::shared_ptr<const DataSource>& data, const QatOptions& options,
                     int64_t samples) {
  std::vector<std::vector<at::Tensor>> batches;
  for (Batch& batch : loader_of(data, options.train, samples, options.device).epoch(0))
    batches.push_back(std::move(batch.inputs));
  prepared.train(false);
  calibrate(prepared, batches);
  prepared.train(true);
}

// The frozen begin in integers, where a run wants and has one: looked for where an epoch begins, behind all that
// freezes there.
class FrozenBegin {
 public:
  FrozenBegin(GraphModule& prepared, bool wanted) : prepared_(prepared), wanted_(wanted) {}
  void look() {
    if (!wanted_ || looked_) return;
    looked_ = true;
    const IntegerPrefix::Found found = IntegerPrefix::find(prepared_);
    prefix_ = found.prefix;
    if (std::exchange(told_, true)) return;
    log::info("qat: ", prefix_ ? octet::str("the first ", prefix_->layers(), " layers run in integers")
                               : octet::str("frozen layers run as the others do: ", found.declined));
  }
  /// Until the next look, as what is frozen changes.
  void leave() {
    prefix_ = nullptr;
    looked_ = false;
  }
  /// Null where all steps run.
  IntegerPrefix* at_work() const { return prepared_.is_training() ? prefix_.get() : nullptr; }

 private:
  GraphModule& prepared_;
  bool wanted_;
  bool looked_ = false;
  bool told_ = false;
  std::shared_ptr<IntegerPrefix> prefix_;
};

// A share of the channels trains, chosen anew as the run goes on; a checkpoint keeps which.
std::shared_ptr<PartialUpdate> train_partly(GraphModule& prepared, const PartialUpdateOptions& options,
                                            ModelHandle& handle) {
  if (options.share == 1) return nullptr;
  auto update = std::make_shared<PartialUpdate>(prepared, options);
  update->choose();
  log::info("qat: ", update->trained_channels(), " of ", update->all_channels(), " channels of ", update->layers(),
            " layers are trained at a time");
  handle.step = [update](torch::optim::Optimizer& optimizer) { update->step(optimizer); };
  handle.state = [update, all_of = handle.state] {
    auto all = all_of();
    all.merge(update->state());
    return all;
  };
  handle.load_state = [update, load = handle.load_state](const std::map<std::string, at::Tensor>& state,
                                                         const std::string& where) {
    auto of_graph = state;
    update->take_state(of_graph, where);
    load(of_graph, where);
  };
  return update;
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
  if (options.freeze_bn_after != 0) {
    const StatisticsGap gap =
        statistics_gap(model, loader_of(data, options.train, 0, at::kCPU), options.train.channels_last);
    if (gap.is_wide()) log::warn("qat: ", text(gap));
  }
  auto prepared = move_exported_model_to_train(prepare_qat_pt2e(std::move(model), chosen));
  FrozenLayers frozen;
  if (!options.freeze.empty()) frozen = freeze_layers(*prepared, options.freeze);
  const int64_t calibrated =
      options.learn_scales && options.calibrated_samples == 0 ? QatOptions::kWarmStart : options.calibrated_samples;
  OnDevice away(prepared, options.device);
  const bool on_cpu = options.device.is_cpu();
  if (options.integer_prefix && !options.freeze.empty() && !on_cpu) {
    log::info("qat: frozen layers run as the others do: in integers they run on the CPU alone");
  }
  if (calibrated > 0) calibrate_first(*prepared, data, options, calibrated);
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
  FrozenBegin begin(*prepared, options.integer_prefix && !options.freeze.empty() && on_cpu);
  handle.forward = [&begin, steps = handle.forward](const std::vector<at::Tensor>& inputs) {
    IntegerPrefix* prefix = begin.at_work();
    return prefix != nullptr ? prefix->run(inputs).at(0) : steps(inputs);
  };
  handle.set_training = [&](bool on) {
    prepared->train(on);
    if (on) {
      switch_observers();
    } else {
      prepared->apply(disable_observer);
    }
  };

  const std::shared_ptr<PartialUpdate> partly = train_partly(*prepared, options.update, handle);
  TrainOptions training = options.train;
  const int64_t reestimated = training.reestimate_batches;
  const bool freezes = options.freeze_bn_after >= 0 && options.freeze_bn_after < training.epochs;
  if (freezes) training.reestimate_batches = 0;  // done where they are frozen
  const Trainer* loop = nullptr;
  const auto reestimate = [&](int64_t epoch) {
    const bool observing = std::exchange(watching.observing, false);
    loop->reestimate(epoch, reestimated);
    watching.observing = observing;
    switch_observers();
  };
  int64_t begun_within = -1;  // the epoch in whose middle the run goes on
  TrainHooks with_freezing = hooks;
  with_freezing.on_start = [&](const ModelHandle& started, TrainState& state) {
    if (hooks.on_start) hooks.on_start(started, state);
    begun_within = state.tally.batches > 0 ? state.epoch : -1;
  };
  with_freezing.on_epoch_begin = [&](int64_t epoch) {
    if (freezes && epoch == options.freeze_bn_after) begin.leave();
    if (epoch >= watching.observed_epochs) {
      watching.observing = false;
      prepared->apply(disable_observer);
    }
    if (freezes && epoch >= options.freeze_bn_after) {
      if (reestimated > 0 && epoch == options.freeze_bn_after && epoch != begun_within) reestimate(epoch);
      freeze_bn_stats(*prepared);
    }
    if (!watching.observing) begin.look();
    if (hooks.on_epoch_begin) hooks.on_epoch_begin(epoch);
  };
  // Grids of weights are known from the first step on.
  with_freezing.on_step = [&, told = false](const StepInfo& info) mutable {
    if (partly && partly->is_due(info.index + 1)) partly->choose();
    if (hooks.on_step) hooks.on_step(info);
    if (std::exchange(told, true)) return;
    const DeadChannels found = dead_channels(*prepared);
    if (found.dead > 0) log::warn("qat: ", text(found));
  };
  const Trainer trainer(handle, std::move(data), training, with_freezing, std::move(evaluation), progress, "qat");
  loop = &trainer;
  QatResult result;
  TrainState state = trainer.start();
  trainer.run(state);
  watching.observing = false;
  begin.leave();
  trainer.finish(state);
  // What early stopping gives may be of an epoch before they were frozen.
  const int64_t given = state.best.empty() ? state.epoch - 1 : state.result.best_epoch;
  if (freezes && reestimated > 0 && given < options.freeze_bn_after) reestimate(state.epoch);
  release_recycled_memory();
  away.back();
  unfreeze_layers(*prepared, frozen);
  result.training = std::move(state.result);
  result.quantized = finish(prepared, chosen);
  return result;
}

}  // namespace octet
