#include "octet/train/trainer.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/optim/optimizer.h>

#include <cmath>
#include <mutex>
#include <utility>

#include "octet/kernels/recycled_memory.h"
#include "octet/quantize/range_meeting.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/train/average.h"
#include "octet/train/clock.h"
#include "octet/train/device.h"
#include "octet/train/gradient_buckets.h"
#include "octet/train/group.h"
#include "octet/train/progress.h"
#include "octet/train/reestimate.h"

namespace octet {
namespace {

std::shared_ptr<const DataSource> checked(std::shared_ptr<const DataSource> data, const TrainOptions& options) {
  if (options.epochs < 1) throw expected("train", "epochs", "at least 1", str(options.epochs));
  if (!(options.learning_rate > 0) || !std::isfinite(options.learning_rate)) {
    throw expected("train", "learning rate", "over 0", str(options.learning_rate));
  }
  if (options.accumulate < 1) throw expected("train", "batches a step", "at least 1", str(options.accumulate));
  if (!(options.average >= 0 && options.average < 1)) {
    throw expected("train", "decay of the moving average", "from 0 up to but not 1", str(options.average));
  }
  if (!(options.mix.mixup >= 0 && options.mix.cutmix >= 0)) {
    throw expected("train", "MixUp and CutMix", "0 or more", str(options.mix.mixup, " and ", options.mix.cutmix));
  }
  if (options.group && options.batch_size % options.group->size() != 0) {
    throw expected("train", "batch size", str("a multiple of the ", options.group->size(), " processes"),
                   str(options.batch_size));
  }
  options.task.check_data(*data, "train with");
  return data;
}

// Samples of a batch that this process has.
int64_t own_batch(const TrainOptions& options) {
  return options.group ? options.batch_size / options.group->size() : options.batch_size;
}

LoaderOptions loading(const ModelHandle& model, const TrainOptions& options) {
  return {.batch_size = own_batch(options),
          .shuffle = true,
          .drop_last = options.drop_last,
          .samples = options.samples_per_epoch,
          .seed = options.seed,
          .workers = options.workers,
          .transform = options.transform,
          .mix = options.mix,
          .part = options.group ? options.group->rank() : 0,
          .parts = options.group ? options.group->size() : 1,
          .device = device_of(model)};
}

// Steps that `batches` make: the last is smaller where batches are left, unless those are dropped.
int64_t steps_of(int64_t batches, const TrainOptions& options) {
  return (batches + (options.drop_last ? 0 : options.accumulate - 1)) / options.accumulate;
}

Schedule schedule_of(const TrainOptions& options, int64_t steps_per_epoch) {
  Schedule schedule;
  schedule.kind = options.schedule;
  schedule.base = options.learning_rate;
  schedule.total_steps = options.epochs * steps_per_epoch;
  schedule.warmup_steps = std::llround(options.warmup_epochs * static_cast<double>(steps_per_epoch));
  schedule.final_fraction = options.final_fraction;
  schedule.step_every = options.step_epochs * steps_per_epoch;
  schedule.step_factor = options.step_factor;
  return schedule;
}

void weights_to_channels_last(const std::vector<at::Tensor>& parameters) {
  for (const at::Tensor& parameter : parameters) {
    if (parameter.dim() == 4) parameter.set_data(parameter.detach().contiguous(at::MemoryFormat::ChannelsLast));
  }
}

// Of `samples` of a step, as if they were all of its `full` samples' mean.
void scale_gradients(const std::vector<at::Tensor>& parameters, int64_t full, int64_t samples) {
  if (samples == 0) return;
  for (const at::Tensor& parameter : parameters) {
    if (parameter.grad().defined()) parameter.grad().mul_(static_cast<double>(full) / static_cast<double>(samples));
  }
}

at::Tensor random_state() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void set_random_state(const at::Tensor& state) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

// What a process does of a step meets that of the others.
class Together {
 public:
  explicit Together(const TrainOptions& options) {
    if (!options.group) return;
    ranges_.emplace([group = options.group](const at::Tensor& values) { group->greatest(values); },
                    [group = options.group](const at::Tensor& values) { group->sum({values}); });
    if (options.sync_batch_norm) batch_norm_.emplace(*options.group);
  }

 private:
  std::optional<RangeMeeting> ranges_;
  std::optional<SyncBatchNorm> batch_norm_;
};

// A part's mean over weights of samples becomes its share of the mean over the weights of the whole batch.
void share_weights(const TrainOptions& options, const at::Tensor& output, Batch& batch) {
  if (!options.group || !options.task.weight) return;
  const double own = options.task.weight(output, batch);
  const at::Tensor sums = at::tensor({own, static_cast<double>(batch.size())}, at::kDouble);
  options.group->sum({sums});
  const double* all = sums.const_data_ptr<double>();
  batch.weight_share = all[0] > 0 ? own / all[0] * all[1] / static_cast<double>(batch.size()) : 0;
}

// Every process must convert to the same model.
void check_alike(const ModelHandle& model, Group& group) {
  std::vector<double> sums;
  for (const auto& [name, value] : state_of(model)) {
    sums.push_back(value.numel() > 0 ? value.detach().sum(at::kDouble).item<double>() : 0);
  }
  const at::Tensor own = at::tensor(sums, at::kDouble), first = own.clone();
  group.broadcast(first);
  if (group.any(!at::allclose(own, first, 0, 0, /*equal_nan=*/true))) {
    throw Error("train", "the processes have ended in different weights or ranges");
  }
}

// Dropout of each step and rank follows from the seed, and so it does on a device, whose generator no checkpoint keeps:
// what one rank saves tells of all, on any device.
void draw_by_step(const TrainOptions& options, at::Device device, int64_t step) {
  if (!options.group && device.is_cpu()) return;
  const uint64_t of_step = mix_seed(options.seed, static_cast<uint64_t>(step));
  at::manual_seed(mix_seed(of_step, static_cast<uint64_t>(options.group ? options.group->rank() : 0)));
}

std::map<std::string, at::Tensor> copy_of(std::map<std::string, at::Tensor> tensors) {
  for (auto& [name, tensor] : tensors) tensor = tensor.detach().clone();
  return tensors;
}

// By which epochs are compared: the greater, the better.
double worth(const EpochInfo& info, const Task& task) {
  if (!info.evaluation) return -info.loss;
  if (task.metrics.empty()) return -info.evaluation->loss;
  const double value = info.evaluation->scores.at(0).value;
  return task.metrics[0].higher_is_better ? value : -value;
}

// A value that is no number is worse than any.
bool is_better(double value, double best) { return value > best || (std::isnan(best) && !std::isnan(value)); }

}  // namespace

Trainer::Trainer(ModelHandle model, std::shared_ptr<const DataSource> data, TrainOptions options, TrainHooks hooks,
                 std::shared_ptr<const DataSource> evaluation, Progress* progress, std::string title)
    : model_(std::move(model)),
      data_(checked(std::move(data), options)),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      evaluation_(std::move(evaluation)),
      progress_(progress),
      title_(std::move(title)),
      loader_(data_, loading(model_, options_)),
      schedule_(schedule_of(options_, steps_of(loader_.batches(), options_))) {
  options_.channels_last = options_.channels_last && model_.takes_channels_last;
  if (steps_per_epoch() == 0) {
    const std::string wanted = options_.accumulate > 1 ? str(options_.accumulate, " batches of ", options_.batch_size)
                                                       : str("a batch of ", options_.batch_size);
    throw expected(data_->name(), "samples", wanted, str(data_->size()));
  }
}

TrainState Trainer::start() const {
  TrainState state;
  OptimizerOptions optimizer = options_.optimizer;
  optimizer.without_decay.insert(optimizer.without_decay.end(), model_.without_decay.begin(),
                                 model_.without_decay.end());
  state.optimizer = make_optimizer(model_.parameters, optimizer, options_.learning_rate);
  state.random = at::detail::createCPUGenerator(options_.seed).get_state();
  return state;
}

void Trainer::run(TrainState& state) const {
  if (options_.channels_last) weights_to_channels_last(model_.parameters);
  if (hooks_.on_start) hooks_.on_start(model_, state);
  set_random_state(state.random);
  std::optional<GradientBuckets> together;
  if (options_.group) together.emplace(options_.group, model_.parameters);
  GradientBuckets* buckets = together ? &*together : nullptr;
  while (!is_over(state)) {
    model_.set_training(true);
    if (hooks_.on_epoch_begin) hooks_.on_epoch_begin(state.epoch);
    if (progress_ != nullptr) progress_->set_title(str(title_, " ", state.epoch + 1, "/", options_.epochs));
    Tally tally = state.tally;  // with the batches of the step that is being made
    const int64_t batches = std::min(loader_.batches(), steps_per_epoch() * options_.accumulate);
    Loader::Epoch epoch = loader_.epoch(state.epoch, tally.batches);
    double last = now();
    double seconds = 0, waiting = 0;  // of the step that is being made
    for (Batch batch; tally.batches < batches && epoch.next(batch);) {
      waiting += now() - last;
      if (tally.batches == state.tally.batches) {
        state.optimizer->zero_grad();
        draw_by_step(options_, device_of(model_), state.step);
      }
      const bool is_whole = (tally.batches + 1) % options_.accumulate == 0 || tally.batches + 1 == batches;
      add_gradients(tally, batch, state.epoch, is_whole ? buckets : nullptr);
      std::optional<StepInfo> info = is_whole ? std::optional(step(state, tally, buckets)) : std::nullopt;
      const double time = now();
      seconds += time - last;
      last = time;
      if (!info) continue;
      state.seconds += info->seconds = std::exchange(seconds, 0);
      state.waiting += info->waiting = std::exchange(waiting, 0);
      if (hooks_.on_step) hooks_.on_step(*info);
      show(state, *info);
      if (hooks_.on_state) hooks_.on_state(model_, state);
    }
    finish_epoch(state);
  }
  if (options_.group) check_alike(model_, *options_.group);
  if (progress_ != nullptr) progress_->finish();
  release_recycled_memory();
}

int64_t Trainer::steps_per_epoch() const { return steps_of(loader_.batches(), options_); }

bool Trainer::is_over(const TrainState& state) const {
  if (state.epoch >= options_.epochs) return true;
  return options_.patience > 0 && state.epoch - 1 - state.result.best_epoch >= options_.patience;
}

// Those of the mean over the samples of a step of full batches.
void Trainer::add_gradients(Tally& tally, Batch& batch, int64_t epoch, GradientBuckets* last_of_step) const {
  if (options_.channels_last) to_channels_last(batch);
  const Together together(options_);
  const RecycledMemory recycled;
  at::Tensor output = model_.forward(batch.inputs);
  if (options_.task.check_output) options_.task.check_output(output, batch, data_->name());
  share_weights(options_, output, batch);
  at::Tensor loss = options_.task.loss(output, batch);
  const double value = loss.item<double>();
  if (!std::isfinite(value)) {
    const std::string place = model_.where_not_finite ? model_.where_not_finite(batch.inputs) : "";
    const int64_t step = tally.batches / options_.accumulate;
    const std::string before =
        tally.batches > 0 ? str(" (before it, on average: ", tally.loss / static_cast<double>(tally.batches), ")") : "";
    throw Error("train", str("the loss is ", value, " in epoch ", epoch + 1, ", step ", step + 1, before,
                             place.empty() ? "" : "; it begins where " + place))
        .hint("a lower learning rate or gradient clipping helps");
  }
  const int64_t full = own_batch(options_) * options_.accumulate;
  const bool is_part = options_.accumulate > 1 || options_.group;
  if (is_part && batch.size() != full) {
    loss = loss * (static_cast<double>(batch.size()) / static_cast<double>(full));
  }
  if (last_of_step != nullptr) last_of_step->expect();
  loss.backward();
  tally.add(options_.task, output, batch);
  tally.loss += value;
}

// The gradients of all samples of the step, and what it adds to the tally, on all processes.
void Trainer::share(const TrainState& state, Tally& tally, GradientBuckets& buckets) const {
  const int64_t own = tally.samples - state.tally.samples;
  const auto ranks = static_cast<double>(options_.group->size());
  const auto before = [&](size_t i) { return i < state.tally.sums.size() ? state.tally.sums[i] : 0.0; };
  std::vector<double> added = {static_cast<double>(own), (tally.loss - state.tally.loss) / ranks};
  for (size_t i = 0; i < tally.sums.size(); ++i) added.push_back(tally.sums[i] - before(i));
  const at::Tensor told = at::tensor(added, at::kDouble);
  std::vector<at::Tensor> averaged;
  if (!options_.sync_batch_norm) {
    for (const RunningStatistics& each : model_.statistics) {
      averaged.push_back(each.mean);
      averaged.push_back(each.variance);
    }
  }
  buckets.finish();
  std::vector<at::Tensor> shared = averaged;
  shared.push_back(told);
  options_.group->sum(shared);
  for (const at::Tensor& each : averaged) each.div_(ranks);
  const double* sums = told.const_data_ptr<double>();
  tally.samples = state.tally.samples + std::llround(sums[0]);
  tally.loss = state.tally.loss + sums[1];
  for (size_t i = 0; i < tally.sums.size(); ++i) tally.sums[i] = before(i) + sums[2 + i];
}

StepInfo Trainer::step(TrainState& state, Tally& tally, GradientBuckets* buckets) const {
  const double rate = learning_rate(schedule_, state.step);
  set_learning_rate(*state.optimizer, rate);
  if (buckets != nullptr) share(state, tally, *buckets);
  const int64_t samples = tally.samples - state.tally.samples;
  const int64_t full = own_batch(options_) * options_.accumulate;
  const bool is_sum = options_.accumulate > 1 || options_.group;  // of parts of the mean over full batches
  if (is_sum && samples != full) scale_gradients(model_.parameters, full, samples);
  if (options_.clip_norm > 0) clip_gradients(model_.parameters, options_.clip_norm);
  if (model_.step) {
    model_.step(*state.optimizer);
  } else {
    state.optimizer->step();
  }
  const double loss = (tally.loss - state.tally.loss) / static_cast<double>(tally.batches - state.tally.batches);
  state.tally = tally;
  ++state.step;
  if (options_.average > 0) advance_average(state.average, model_, options_.average, state.step);
  state.random = random_state();
  const int64_t done = (tally.batches + options_.accumulate - 1) / options_.accumulate;
  return {.epoch = state.epoch,
          .step = done - 1,
          .steps_per_epoch = steps_per_epoch(),
          .learning_rate = rate,
          .loss = loss,
          .score = state.tally.mean(0),
          .index = state.step - 1,
          .samples = samples};
}

void Trainer::show(const TrainState& state, const StepInfo& info) const {
  if (progress_ == nullptr) return;
  const Tally& tally = state.tally;
  progress_->update({state.step, schedule_.total_steps, tally.loss / static_cast<double>(tally.batches), info.score,
                     static_cast<double>(tally.samples) / state.seconds, 0,
                     options_.task.metrics.empty() ? "" : options_.task.metrics[0].title});
}

// Of a group, rank 0's: the others get what says which epoch is best.
std::optional<Evaluation> Trainer::measured() const {
  if (evaluation_ == nullptr) return std::nullopt;
  Evaluation found;
  if (!options_.group || options_.group->rank() == 0) {
    found = evaluate(model_, evaluation_,
                     {.task = options_.task,
                      .batch_size = evaluation_batch(own_batch(options_)),
                      .transform = options_.eval_transform,
                      .channels_last = options_.channels_last});
  }
  if (!options_.group) return found;
  const std::vector<Metric>& metrics = options_.task.metrics;
  std::vector<double> numbers = {static_cast<double>(found.samples), found.loss};
  for (size_t i = 0; i < metrics.size(); ++i) numbers.push_back(i < found.scores.size() ? found.scores[i].value : 0);
  const at::Tensor told = at::tensor(numbers, at::kDouble);
  options_.group->broadcast(told);
  if (options_.group->rank() == 0) return found;
  const double* values = told.const_data_ptr<double>();
  found.samples = std::llround(values[0]);
  found.loss = values[1];
  for (size_t i = 0; i < metrics.size(); ++i) found.scores.push_back({metrics[i].key, metrics[i].title, values[2 + i]});
  return found;
}

void Trainer::finish_epoch(TrainState& state) const {
  EpochInfo info;
  info.epoch = state.epoch;
  info.seconds = state.seconds;
  info.waiting = state.waiting;
  info.loss = state.tally.loss / static_cast<double>(state.tally.batches);
  info.scores = state.tally.scores(options_.task);
  info.samples_per_second = static_cast<double>(state.tally.samples) / info.seconds;
  TrainResult& result = state.result;
  {
    const WithAverage averaged(model_, state.average);
    info.evaluation = measured();
    info.best =
        result.epochs.empty() || is_better(worth(info, options_.task),
                                           worth(result.epochs[static_cast<size_t>(result.best_epoch)], options_.task));
    if (info.best && options_.patience > 0) state.best = copy_of(state_of(model_));
  }
  if (info.best) result.best_epoch = info.epoch;
  result.seconds += info.seconds;
  result.samples += state.tally.samples;
  result.epochs.push_back(info);
  ++state.epoch;
  state.tally = {};
  state.seconds = 0;
  state.waiting = 0;
  if (progress_ != nullptr && info.evaluation) {
    char text[160];
    const std::vector<Score>& scores = info.evaluation->scores;
    std::snprintf(text, sizeof text, "  loss %.4f  test %s %.4f", info.loss,
                  scores.empty() ? "loss" : scores[0].title.c_str(),
                  scores.empty() ? info.evaluation->loss : scores[0].value);
    progress_->message(str(title_, " ", info.epoch + 1, "/", options_.epochs, text));
  }
  if (hooks_.on_epoch_end) hooks_.on_epoch_end(info);
  if (hooks_.on_state) hooks_.on_state(model_, state);
}

void Trainer::finish(const TrainState& state) const {
  if (state.epoch < options_.epochs) {
    log::info(title_, ": no better epoch for ", options_.patience, "; the one kept is epoch ",
              state.result.best_epoch + 1, " of ", state.epoch);
  }
  if (!state.best.empty()) {
    load_state(model_, state.best, title_);
  } else if (!state.average.empty()) {
    take_average(model_, state.average);
  }
  if (options_.reestimate_batches > 0) reestimate(state.epoch, options_.reestimate_batches);
}

void Trainer::reestimate(int64_t epoch, int64_t batches) const {
  model_.set_training(true);
  std::optional<SyncBatchNorm> of_all;
  if (options_.group && options_.sync_batch_norm) of_all.emplace(*options_.group);
  reestimate_statistics(model_, loader_, epoch, batches, options_.channels_last);
  if (!options_.group || model_.statistics.empty()) return;
  // Those of all parts: mean of the means, mean of the variances and variance of the means.
  const at::NoGradGuard no_grad;
  const auto ranks = static_cast<double>(options_.group->size());
  std::vector<at::Tensor> sums;
  for (const RunningStatistics& each : model_.statistics) {
    sums.push_back(each.mean.to(at::kDouble));
    sums.push_back(each.variance.to(at::kDouble) + sums.back().square());
  }
  options_.group->sum(sums);
  for (size_t i = 0; i < model_.statistics.size(); ++i) {
    const at::Tensor mean = sums[2 * i] / ranks;
    model_.statistics[i].mean.copy_(mean);
    model_.statistics[i].variance.copy_(sums[2 * i + 1] / ranks - mean.square());
  }
}

TrainResult train(const ModelHandle& model, std::shared_ptr<const DataSource> data, const TrainOptions& options,
                  const TrainHooks& hooks, std::shared_ptr<const DataSource> evaluation, Progress* progress,
                  const std::string& title) {
  const Trainer trainer(model, std::move(data), options, hooks, std::move(evaluation), progress, title);
  TrainState state = trainer.start();
  trainer.run(state);
  trainer.finish(state);
  return state.result;
}

}  // namespace octet
