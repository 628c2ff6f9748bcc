#include "octet/train/trainer.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/optim/optimizer.h>

#include <cmath>
#include <mutex>

#include "octet/support/error.h"
#include "octet/train/clock.h"
#include "octet/train/progress.h"

namespace octet {
namespace {

std::shared_ptr<const DataSource> checked(std::shared_ptr<const DataSource> data, const TrainOptions& options) {
  if (options.epochs < 1) throw expected("train", "epochs", "at least 1", str(options.epochs));
  if (!(options.learning_rate > 0) || !std::isfinite(options.learning_rate)) {
    throw expected("train", "learning rate", "over 0", str(options.learning_rate));
  }
  options.task.check_data(*data, "train with");
  return data;
}

LoaderOptions loading(const TrainOptions& options) {
  return {.batch_size = options.batch_size,
          .shuffle = true,
          .drop_last = options.drop_last,
          .samples = options.samples_per_epoch,
          .seed = options.seed,
          .workers = options.workers,
          .transform = options.transform};
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

// By which epochs are compared: the greater, the better.
double worth(const EpochInfo& info, const Task& task) {
  if (!info.evaluation) return -info.loss;
  if (task.metrics.empty()) return -info.evaluation->loss;
  const double value = info.evaluation->scores.at(0).value;
  return task.metrics[0].higher_is_better ? value : -value;
}

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
      loader_(data_, loading(options_)),
      schedule_(schedule_of(options_, loader_.batches())) {
  if (loader_.batches() == 0) {
    throw expected(data_->name(), "samples", str("a batch of ", options_.batch_size), str(data_->size()));
  }
}

TrainState Trainer::start() const {
  TrainState state;
  state.optimizer = make_optimizer(model_.parameters, options_.optimizer, options_.learning_rate);
  state.random = at::detail::createCPUGenerator(options_.seed).get_state();
  return state;
}

void Trainer::run(TrainState& state) const {
  if (options_.channels_last) weights_to_channels_last(model_.parameters);
  if (hooks_.on_start) hooks_.on_start(model_, state);
  set_random_state(state.random);
  while (state.epoch < options_.epochs) {
    model_.set_training(true);
    if (hooks_.on_epoch_begin) hooks_.on_epoch_begin(state.epoch);
    if (progress_ != nullptr) progress_->set_title(str(title_, " ", state.epoch + 1, "/", options_.epochs));
    double last = now();
    for (Batch& batch : loader_.epoch(state.epoch, state.tally.batches)) {
      state.waiting += now() - last;
      const StepInfo info = step(state, batch);
      const double time = now();
      state.seconds += time - last;
      last = time;
      if (hooks_.on_step) hooks_.on_step(info);
      show(state, info);
      if (hooks_.on_state) hooks_.on_state(model_, state);
    }
    finish_epoch(state);
  }
  if (progress_ != nullptr) progress_->finish();
}

StepInfo Trainer::step(TrainState& state, Batch& batch) const {
  const double rate = learning_rate(schedule_, state.step);
  set_learning_rate(*state.optimizer, rate);
  if (options_.channels_last) to_channels_last(batch);
  state.optimizer->zero_grad();
  at::Tensor output = model_.forward(batch.inputs);
  if (options_.task.check_output) options_.task.check_output(output, batch, data_->name());
  at::Tensor loss = options_.task.loss(output, batch);
  const double value = loss.item<double>();
  if (!std::isfinite(value)) {
    const std::string place = model_.where_not_finite ? model_.where_not_finite(batch.inputs) : "";
    throw Error("train", str("the loss is ", value, " in epoch ", state.epoch + 1, ", step ", state.tally.batches + 1,
                             place.empty() ? "" : "; it begins where " + place))
        .hint("a lower learning rate or gradient clipping helps");
  }
  loss.backward();
  if (options_.clip_norm > 0) clip_gradients(model_.parameters, options_.clip_norm);
  state.optimizer->step();

  state.tally.add(options_.task, output, batch);
  state.tally.loss += value;
  ++state.step;
  state.random = random_state();
  return {state.epoch, state.tally.batches - 1, loader_.batches(), rate, value, state.tally.mean(0)};
}

void Trainer::show(const TrainState& state, const StepInfo& info) const {
  if (progress_ == nullptr) return;
  const Tally& tally = state.tally;
  progress_->update({state.step, schedule_.total_steps, tally.loss / static_cast<double>(tally.batches), info.score,
                     static_cast<double>(tally.samples) / state.seconds, 0,
                     options_.task.metrics.empty() ? "" : options_.task.metrics[0].title});
}

void Trainer::finish_epoch(TrainState& state) const {
  EpochInfo info;
  info.epoch = state.epoch;
  info.seconds = state.seconds;
  info.waiting = state.waiting;
  info.loss = state.tally.loss / static_cast<double>(state.tally.batches);
  info.scores = state.tally.scores(options_.task);
  info.samples_per_second = static_cast<double>(state.tally.samples) / info.seconds;
  if (evaluation_ != nullptr) {
    info.evaluation = evaluate(
        model_, evaluation_,
        {.task = options_.task, .transform = options_.eval_transform, .channels_last = options_.channels_last});
  }
  TrainResult& result = state.result;
  info.best = result.epochs.empty() ||
              worth(info, options_.task) > worth(result.epochs[static_cast<size_t>(result.best_epoch)], options_.task);
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

TrainResult train(const ModelHandle& model, std::shared_ptr<const DataSource> data, const TrainOptions& options,
                  const TrainHooks& hooks, std::shared_ptr<const DataSource> evaluation, Progress* progress,
                  const std::string& title) {
  const Trainer trainer(model, std::move(data), options, hooks, std::move(evaluation), progress, title);
  TrainState state = trainer.start();
  trainer.run(state);
  return state.result;
}

}  // namespace octet
