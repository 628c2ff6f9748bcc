#include "octet/train/statistics_gap.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "octet/support/error.h"
#include "octet/train/model_handle.h"
#include "octet/train/reestimate.h"

namespace octet {
namespace {

constexpr double kLeastVariance = 1e-5;  // as BatchNorm's eps: below it variances are all alike

double median_ratio(const at::Tensor& running, const at::Tensor& own) {
  const at::Tensor apart = (running.to(at::kDouble).clamp_min(0) + kLeastVariance).log() -
                           (own.to(at::kDouble).clamp_min(0) + kLeastVariance).log();
  const double median = apart.abs().median().item<double>();
  return std::isfinite(median) ? std::exp(median) : std::numeric_limits<double>::infinity();
}

// The module that the tensor belongs to.
std::string owner_of(const GraphModule& model, const at::Tensor& statistic) {
  for (const std::string& name : model.attr_names()) {
    if (model.attr(name).is_same(statistic)) return name.substr(0, name.rfind('.'));
  }
  return "a BatchNorm";
}

}  // namespace

StatisticsGap statistics_gap(const std::shared_ptr<GraphModule>& model, const Loader& loader, bool channels_last) {
  StatisticsGap gap;
  const ModelHandle handle = model_handle(model);
  if (handle.statistics.empty() || loader.batches() == 0) return gap;
  const bool was_training = model->is_training();
  // Counters of steps move too.
  std::vector<std::pair<at::Tensor, at::Tensor>> before;
  for (const at::Tensor& buffer : model->buffers()) before.emplace_back(buffer, buffer.clone());
  std::vector<RunningStatistics> running;
  for (const RunningStatistics& each : handle.statistics) running.push_back({each.mean.clone(), each.variance.clone()});
  handle.set_training(true);
  reestimate_statistics(handle, loader, /*epoch=*/0, /*batches=*/1, channels_last);
  handle.set_training(was_training);
  for (size_t i = 0; i < running.size(); ++i) {
    const double ratio = median_ratio(running[i].variance, handle.statistics[i].variance);
    if (ratio <= gap.ratio && !gap.where.empty()) continue;
    gap = {ratio, owner_of(*model, handle.statistics[i].variance)};
  }
  const at::NoGradGuard no_grad;
  for (auto& [buffer, value] : before) buffer.copy_(value);
  for (size_t i = 0; i < running.size(); ++i) {
    handle.statistics[i].mean.copy_(running[i].mean);
    handle.statistics[i].variance.copy_(running[i].variance);
  }
  return gap;
}

std::string text(const StatisticsGap& gap) {
  char ratio[32];
  std::snprintf(ratio, sizeof ratio, "%.3g", gap.ratio);
  return str("BatchNorm's running variances are not those of the data: at '", gap.where, "' they are ", ratio,
             " times apart. Ranges and folded weights that follow from them do not fit what training sees, and it may "
             "diverge: train the float model for longer, or find them anew first (--float --reestimate-bn 32)");
}

}  // namespace octet
