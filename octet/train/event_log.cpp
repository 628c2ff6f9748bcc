#include "octet/train/event_log.h"

#include <ATen/Functions.h>

#include <cmath>

#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet {
namespace {

constexpr int64_t kBins = 64;

// Of finite values; nothing for others.
std::optional<EventHistogram> histogram_of(const at::Tensor& values) {
  const at::Tensor all = values.detach().reshape({-1}).to(at::kFloat);
  if (all.numel() == 0) return std::nullopt;
  EventHistogram histogram;
  histogram.least = all.min().item<double>();
  histogram.greatest = all.max().item<double>();
  if (!std::isfinite(histogram.least) || !std::isfinite(histogram.greatest)) return std::nullopt;
  histogram.sum = all.sum(at::kDouble).item<double>();
  histogram.sum_of_squares = all.to(at::kDouble).square_().sum().item<double>();
  const double width = (histogram.greatest - histogram.least) / static_cast<double>(kBins);
  if (!(width > 0)) {
    histogram.limits = {histogram.greatest};
    histogram.counts = {static_cast<double>(all.numel())};
    return histogram;
  }
  const at::Tensor counts = all.histc(kBins, histogram.least, histogram.greatest).to(at::kDouble).cpu();
  for (int64_t bin = 0; bin < kBins; ++bin) {
    histogram.limits.push_back(histogram.least + width * static_cast<double>(bin + 1));
    histogram.counts.push_back(counts.const_data_ptr<double>()[bin]);
  }
  return histogram;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The parameters and the ranges that a state holds: those of fake quantizers stand behind their name and a slash.
void add_state(EventValues& to, const std::map<std::string, at::Tensor>& state) {
  for (const auto& [name, value] : state) {
    if (!value.is_floating_point()) continue;
    const size_t slash = name.find('/');
    if (slash == std::string::npos) {
      if (value.dim() < 2) continue;
      if (auto histogram = histogram_of(value)) to.emplace_back("weights/" + name, std::move(*histogram));
      continue;
    }
    if (value.numel() != 1) continue;
    const std::string owner = name.substr(0, slash);
    const double number = value.item<double>();
    if (ends_with(name, "min_val")) to.emplace_back("range/" + owner + "/least", number);
    if (ends_with(name, "max_val")) to.emplace_back("range/" + owner + "/greatest", number);
    if (ends_with(name, "/scale")) to.emplace_back("scale/" + owner, number);
  }
}

void add_scores(EventValues& to, const std::string& of, double loss, const std::vector<Score>& scores) {
  to.emplace_back("epoch/" + of + "_loss", loss);
  for (const Score& score : scores) to.emplace_back("epoch/" + of + "_" + score.key, score.value);
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

EventLog::EventLog(const std::string& folder) : file_(folder) {}

TrainHooks EventLog::hooks(TrainHooks others) {
  TrainHooks hooks = others;
  hooks.on_start = [this, others](const ModelHandle& model, TrainState& state) {
    if (others.on_start) others.on_start(model, state);
    model_ = &model;
    state_ = &state;
    file_.begin_session(state.step);
    // The last epoch's events stand at this step and are dropped with what came behind.
    if (state.tally.batches == 0 && !state.result.epochs.empty()) tell_epoch(state.result.epochs.back());
  };
  hooks.on_step = [this, others](const StepInfo& info) {
    if (others.on_step) others.on_step(info);
    tell(info.index, {{"step/loss", info.loss},
                      {"step/learning_rate", info.learning_rate},
                      {"step/samples_per_second", share(static_cast<double>(info.samples), info.seconds)},
                      {"step/waiting", share(info.waiting, info.seconds)}});
  };
  hooks.on_epoch_end = [this, others](const EpochInfo& info) {
    if (others.on_epoch_end) others.on_epoch_end(info);
    tell_epoch(info);
  };
  return hooks;
}

void EventLog::tell_epoch(const EpochInfo& info) {
  EventValues values;
  add_scores(values, "train", info.loss, info.scores);
  if (info.evaluation) add_scores(values, "test", info.evaluation->loss, info.evaluation->scores);
  values.emplace_back("epoch/samples_per_second", info.samples_per_second);
  values.emplace_back("epoch/waiting", share(info.waiting, info.seconds));
  add_state(values, state_of(*model_));
  tell(state_->step, values);
}

void EventLog::tell(int64_t step, const EventValues& values) {
  if (is_lost_) return;
  try {
    file_.write(step, values);
  } catch (const Error& error) {
    log::warn(error.what(), "; training goes on without events");
    is_lost_ = true;
  }
}

}  // namespace octet
