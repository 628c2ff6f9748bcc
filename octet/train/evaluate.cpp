#include "octet/train/evaluate.h"

#include <chrono>

#include "octet/support/error.h"
#include "octet/train/loader.h"
#include "octet/train/progress.h"

namespace octet {

int64_t count_top(const at::Tensor& logits, const at::Tensor& labels, int64_t k) {
  at::Tensor values = logits.detach().to(at::kFloat);
  at::Tensor own = values.gather(1, labels.unsqueeze(1));
  // Rank of the label's own value: a class that is as high counts as higher unless it is the label; NaN never counts as
  // right.
  at::Tensor ahead = values.ge(own).sum(1);
  return at::logical_and(ahead.ge(1), ahead.le(k)).sum().item<int64_t>();
}

void check_output(const at::Tensor& output, const Batch& batch, const std::string& where) {
  if (output.dim() != 2 || output.size(0) != batch.size()) {
    throw expected(where, "model output", str("[", batch.size(), ", classes]"), octet::str(output.sizes()));
  }
  const int64_t highest = batch.labels.numel() == 0 ? -1 : batch.labels.max().item<int64_t>();
  if (highest >= output.size(1)) throw expected(where, "labels", str("below ", output.size(1)), str(highest));
}

void to_channels_last(Batch& batch) {
  for (at::Tensor& input : batch.inputs) {
    if (input.dim() == 4) input = input.contiguous(at::MemoryFormat::ChannelsLast);
  }
}

Accuracy evaluate(const ModelHandle& model, std::shared_ptr<const Dataset> data, const EvaluateOptions& options) {
  if (!data->labelled()) throw Error(data->name(), "has no labels to measure an accuracy with");
  at::NoGradGuard no_grad;
  model.set_training(false);
  const std::string name = data->name();
  Loader loader(std::move(data),
                {.batch_size = options.batch_size, .workers = options.workers, .transform = options.transform});
  Accuracy result;
  const auto start = std::chrono::steady_clock::now();
  auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  int64_t top1 = 0, top5 = 0, step = 0;
  for (Batch& batch : loader.epoch(0)) {
    if (options.channels_last) to_channels_last(batch);
    at::Tensor output = model.forward(batch.inputs);
    check_output(output, batch, name);
    top1 += count_top(output, batch.labels, 1);
    top5 += count_top(output, batch.labels, 5);
    result.loss += at::cross_entropy_loss(output.to(at::kFloat), batch.labels, {}, at::Reduction::Sum).item<double>();
    result.samples += batch.size();
    const auto n = static_cast<double>(result.samples);
    if (options.progress != nullptr) {
      options.progress->update(
          {++step, loader.batches(), result.loss / n, static_cast<double>(top1) / n, n / elapsed(), 0});
    }
  }
  if (result.samples == 0) throw Error(name, "has no samples");
  const auto n = static_cast<double>(result.samples);
  result.top1 = static_cast<double>(top1) / n;
  result.top5 = static_cast<double>(top5) / n;
  result.loss /= n;
  result.seconds = elapsed();
  result.images_per_second = n / result.seconds;
  if (options.progress != nullptr) options.progress->finish();
  return result;
}

}  // namespace octet
