#include "octet/train/reestimate.h"

#include <ATen/core/grad_mode.h>

#include "octet/support/error.h"
#include "octet/train/evaluate.h"

namespace octet {
namespace {

// Of one BatchNorm: sums over the batches, in double.
struct StatisticsSum {
  at::Tensor before_mean, before_variance;  // which each forward starts from
  at::Tensor mean, square, variance;
};

}  // namespace

void reestimate_statistics(const ModelHandle& model, const Loader& loader, int64_t epoch, int64_t batches,
                           bool channels_last) {
  if (model.statistics.empty()) return;
  if (!model.keep_last_batch_alone) throw Error("BatchNorm", "this model can't say what one batch has");
  const at::NoGradGuard no_grad;
  std::vector<StatisticsSum> sums;
  for (const RunningStatistics& each : model.statistics) {
    const at::Tensor zero = at::zeros_like(each.mean, at::kDouble);
    sums.push_back({each.mean.clone(), each.variance.clone(), zero.clone(), zero.clone(), zero.clone()});
  }
  const std::shared_ptr<void> alone = model.keep_last_batch_alone();
  int64_t seen = 0;
  for (Batch& batch : loader.epoch(epoch)) {
    if (seen == batches) break;
    if (channels_last) to_channels_last(batch);
    model.forward(batch.inputs);
    for (size_t i = 0; i < sums.size(); ++i) {
      const RunningStatistics& own = model.statistics[i];
      const at::Tensor mean = own.mean.to(at::kDouble);
      sums[i].mean += mean;
      sums[i].square += mean.square();
      sums[i].variance += own.variance.to(at::kDouble);
      own.mean.copy_(sums[i].before_mean);
      own.variance.copy_(sums[i].before_variance);
    }
    ++seen;
  }
  if (seen == 0) throw Error("BatchNorm", "no batch to find statistics of");
  const auto n = static_cast<double>(seen);
  for (size_t i = 0; i < sums.size(); ++i) {
    const at::Tensor mean = sums[i].mean / n;
    model.statistics[i].mean.copy_(mean);
    model.statistics[i].variance.copy_(sums[i].variance / n + (sums[i].square / n - mean.square()).clamp_min(0));
  }
}

}  // namespace octet
