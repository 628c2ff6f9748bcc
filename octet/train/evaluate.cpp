#include "octet/train/evaluate.h"

#include <algorithm>
#include <chrono>

#include "octet/support/error.h"
#include "octet/train/device.h"
#include "octet/train/loader.h"
#include "octet/train/progress.h"

namespace octet {

void to_channels_last(Batch& batch) {
  for (at::Tensor& input : batch.inputs) {
    if (input.dim() == 4) input = input.contiguous(at::MemoryFormat::ChannelsLast);
  }
}

// Without gradients, nothing that is computed stays.
int64_t evaluation_batch(int64_t training_batch) { return std::min(EvaluateOptions{}.batch_size, 2 * training_batch); }

Evaluation evaluate(const ModelHandle& model, std::shared_ptr<const DataSource> data, const EvaluateOptions& options) {
  const Task& task = options.task;
  task.check_data(*data, "measure with");
  at::NoGradGuard no_grad;
  model.set_training(false);
  const bool channels_last = options.channels_last && model.takes_channels_last;
  const std::string name = data->name();
  Loader loader(std::move(data), {.batch_size = options.batch_size,
                                  .workers = options.workers,
                                  .transform = options.transform,
                                  .device = device_of(model)});
  const auto start = std::chrono::steady_clock::now();
  auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  Tally tally;
  std::vector<std::vector<at::Tensor>> rows(task.whole.size());
  for (Batch& batch : loader.epoch(0)) {
    if (channels_last) to_channels_last(batch);
    at::Tensor output = model.forward(batch.inputs);
    if (task.check_output) task.check_output(output, batch, name);
    tally.add(task, output, batch);
    tally.loss += task.loss_sum(output, batch);
    for (size_t i = 0; i < rows.size(); ++i) {
      const at::Tensor kept = task.whole[i].rows(output, batch);
      if (kept.defined()) rows[i].push_back(kept.cpu());
    }
    if (options.progress != nullptr) {
      const auto n = static_cast<double>(tally.samples);
      options.progress->update({tally.batches, loader.batches(), tally.loss / n, tally.mean(0), n / elapsed(), 0,
                                task.metrics.empty() ? "" : task.metrics[0].title});
    }
  }
  if (tally.samples == 0) throw Error(name, "has no samples");
  const auto n = static_cast<double>(tally.samples);
  Evaluation result;
  result.samples = tally.samples;
  result.loss = tally.loss / n;
  result.scores = tally.scores(task);
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::optional<double> value = rows[i].empty() ? std::nullopt : task.whole[i].value(at::cat(rows[i]));
    if (value) result.scores.push_back({task.whole[i].key, task.whole[i].title, *value});
  }
  result.seconds = elapsed();
  result.samples_per_second = n / result.seconds;
  if (options.progress != nullptr) options.progress->finish();
  return result;
}

}  // namespace octet
