#include "octet/train/trainer.h"

#include <torch/optim/optimizer.h>

#include <chrono>
#include <cmath>

#include "octet/support/error.h"
#include "octet/train/loader.h"
#include "octet/train/progress.h"

namespace octet {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void check(const TrainOptions& options, const Dataset& data) {
  if (options.epochs < 1) throw expected("train", "epochs", "at least 1", str(options.epochs));
  if (!(options.learning_rate > 0) || !std::isfinite(options.learning_rate)) {
    throw expected("train", "learning rate", "over 0", str(options.learning_rate));
  }
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1)) {
    throw expected("train", "label smoothing", "from 0 up to but not 1", str(options.label_smoothing));
  }
  if (!data.labelled()) throw Error(data.name(), "has no labels to train with");
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

struct Running {
  double loss = 0;
  int64_t top1 = 0, top5 = 0, images = 0, steps = 0;
};

}  // namespace

TrainResult train(const ModelHandle& model, std::shared_ptr<const Dataset> data, const TrainOptions& options,
                  const TrainHooks& hooks, std::shared_ptr<const Dataset> evaluation, Progress* progress,
                  const std::string& title) {
  check(options, *data);
  const Loader loader(data, {.batch_size = options.batch_size,
                             .shuffle = true,
                             .drop_last = options.drop_last,
                             .samples = options.samples_per_epoch,
                             .seed = options.seed,
                             .workers = options.workers,
                             .transform = options.transform});
  const int64_t steps = loader.batches();
  if (steps == 0) {
    throw expected(data->name(), "samples", str("a batch of ", options.batch_size), str(data->size()));
  }
  if (options.channels_last) weights_to_channels_last(model.parameters);
  const Schedule schedule = schedule_of(options, steps);
  auto optimizer = make_optimizer(model.parameters, options.optimizer, options.learning_rate);
  at::manual_seed(options.seed);

  TrainResult result;
  double best = -1e300;
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    model.set_training(true);
    if (hooks.on_epoch_begin) hooks.on_epoch_begin(epoch);
    if (progress != nullptr) progress->set_title(str(title, " ", epoch + 1, "/", options.epochs));
    Running run;
    const double start = now();
    for (Batch& batch : loader.epoch(epoch)) {
      const double rate = learning_rate(schedule, epoch * steps + run.steps);
      set_learning_rate(*optimizer, rate);
      if (options.channels_last) to_channels_last(batch);
      optimizer->zero_grad();
      at::Tensor output = model.forward(batch.inputs);
      check_output(output, batch, data->name());
      at::Tensor loss = at::cross_entropy_loss(output, batch.labels, {}, at::Reduction::Mean, /*ignore_index=*/-100,
                                               options.label_smoothing);
      const double value = loss.item<double>();
      if (!std::isfinite(value)) {
        throw Error("train", str("the loss is ", value, " in epoch ", epoch + 1, ", step ", run.steps + 1))
            .hint("a lower learning rate or gradient clipping helps");
      }
      loss.backward();
      if (options.clip_norm > 0) clip_gradients(model.parameters, options.clip_norm);
      optimizer->step();

      run.loss += value;
      run.top1 += count_top(output, batch.labels, 1);
      run.top5 += count_top(output, batch.labels, 5);
      run.images += batch.size();
      ++run.steps;
      const double top1 = static_cast<double>(run.top1) / static_cast<double>(run.images);
      if (hooks.on_step) hooks.on_step({epoch, run.steps - 1, steps, rate, value, top1});
      if (progress != nullptr) {
        const double speed = static_cast<double>(run.images) / (now() - start);
        progress->update({epoch * steps + run.steps, options.epochs * steps, run.loss / static_cast<double>(run.steps),
                          top1, speed, 0});
      }
    }
    EpochInfo info;
    info.epoch = epoch;
    info.seconds = now() - start;
    info.loss = run.loss / static_cast<double>(run.steps);
    info.top1 = static_cast<double>(run.top1) / static_cast<double>(run.images);
    info.top5 = static_cast<double>(run.top5) / static_cast<double>(run.images);
    info.images_per_second = static_cast<double>(run.images) / info.seconds;
    if (evaluation != nullptr) {
      info.evaluation =
          evaluate(model, evaluation, {.transform = options.eval_transform, .channels_last = options.channels_last});
    }
    const double score = info.evaluation ? info.evaluation->top1 : -info.loss;
    info.best = score > best;
    if (info.best) {
      best = score;
      result.best_epoch = epoch;
    }
    result.seconds += info.seconds;
    result.images += run.images;
    result.epochs.push_back(info);
    if (progress != nullptr && info.evaluation) {
      char text[64];
      std::snprintf(text, sizeof text, "  loss %.4f  test top-1 %.4f", info.loss, info.evaluation->top1);
      progress->message(str(title, " ", epoch + 1, "/", options.epochs, text));
    }
    if (hooks.on_epoch_end) hooks.on_epoch_end(info);
  }
  if (progress != nullptr) progress->finish();
  return result;
}

}  // namespace octet
