#include "octet/targets/engine/weigh_settings.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "octet/quantize/sqnr.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/engine/table_quantizer.h"

namespace octet::targets {
namespace {

using Samples = std::vector<std::vector<at::Tensor>>;
using Candidate = Weighing::Candidate;

// Samples that calibrate, and others that are looked at.
struct Halves {
  Samples calibration, measured;
};

// Where there are few samples, which half calibrates says much: then each does in turn.
std::vector<Halves> halves_of(const Samples& samples) {
  constexpr size_t kFew = 8;
  if (samples.size() == 1) return {{samples, samples}};
  Halves halves;
  for (size_t i = 0; i < samples.size(); ++i) (i % 2 == 0 ? halves.calibration : halves.measured).push_back(samples[i]);
  if (samples.size() > kFew) return {halves};
  return {halves, {halves.measured, halves.calibration}};
}

class Scale {
 public:
  Scale(const GraphModule& model, const Samples& samples, std::shared_ptr<const Target> target)
      : model_(model), target_(std::move(target)), halves_(halves_of(samples)) {
    const std::shared_ptr<GraphModule> exact = model.copy();
    exact->train(false);
    for (const Halves& halves : halves_) add_results(*exact, halves.measured, expected_);
  }

  void weigh(Candidate& candidate, const QuantizerOptions& options) const {
    TableQuantizer quantizer(target_, options);
    Results results;
    std::shared_ptr<GraphModule> quantized;
    for (const Halves& halves : halves_) {
      quantized = calibrate_and_quantize(model_.copy(), halves.calibration, quantizer);
      add_results(*quantized, halves.measured, results);
    }
    candidate.sqnr_db = sqnr_db(results);
    const Placement placement = check_model(*quantized, quantizer).placement;
    candidate.partitions = placement.partitions;
    candidate.on_cpu = placement.on_cpu();
  }

 private:
  using Results = std::vector<std::vector<at::Tensor>>;  // of each result a row a sample

  static void add_results(GraphModule& model, const Samples& samples, Results& rows) {
    for (const auto& sample : samples) {
      const std::vector<at::Tensor> results = model.run(sample);
      rows.resize(results.size());
      for (size_t i = 0; i < results.size(); ++i) rows[i].push_back(results[i].reshape({-1}));
    }
  }

  double sqnr_db(const Results& results) const {
    double worst = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < results.size(); ++i) {
      const at::Tensor expected = at::cat(expected_[i]);
      if (!expected.is_floating_point()) continue;
      const double found = compute_error(expected, at::cat(results[i]));
      if (!(found >= worst)) worst = std::isnan(found) ? -std::numeric_limits<double>::infinity() : found;
    }
    return worst;
  }

  const GraphModule& model_;
  std::shared_ptr<const Target> target_;
  std::vector<Halves> halves_;
  Results expected_;
};

// A transition saved here and there is no reason to compute less exactly: a quarter of them is.
bool brings_enough(const Candidate& candidate, const Candidate& exact) {
  const auto by_a_quarter = [](int64_t now, int64_t before) { return 4 * now <= 3 * before; };
  return by_a_quarter(candidate.partitions, exact.partitions) || by_a_quarter(candidate.on_cpu, exact.on_cpu);
}

bool is_better(const Candidate& a, const Candidate& b) {
  if (a.partitions != b.partitions) return a.partitions < b.partitions;
  if (a.on_cpu != b.on_cpu) return a.on_cpu < b.on_cpu;
  return a.sqnr_db > b.sqnr_db;
}

// What the passes make of it, operator by operator.
std::vector<std::string> rewritten(const GraphModule& model, const QuantizerOptions& options,
                                   const std::shared_ptr<const Target>& target) {
  std::vector<std::string> operators;
  const TableQuantizer::Explanation explanation = TableQuantizer(target, options).explain(model);
  for (const Node* node : explanation.model->graph().nodes()) operators.push_back(node->target());
  return operators;
}

// Those that are to be weighed, and change the model by themselves.
std::vector<const Setting*> to_weigh(const GraphModule& model, const QuantizerOptions& options,
                                     const std::shared_ptr<const Target>& target) {
  const QuantizerOptions exact = settled(options, *target);
  std::vector<const Setting*> found;
  for (const Setting& setting : target->settings) {
    if (setting.weighed && options.settings.at(setting.name) == kWeighed) found.push_back(&setting);
  }
  if (found.empty()) return found;
  const std::vector<std::string> operators = rewritten(model, exact, target);
  std::erase_if(found, [&](const Setting* setting) {
    QuantizerOptions other = exact;
    other.settings[setting->name] = setting->weighed->whole;
    try {
      return rewritten(model, other, target) == operators;
    } catch (const Error& error) {
      log::info(setting->name, ' ', setting->weighed->whole, " is not taken: ", error.what());
      return true;
    }
  });
  return found;
}

}  // namespace

std::string Weighing::Candidate::text() const {
  std::string text;
  for (const auto& [name, value] : settings) text += octet::str(text.empty() ? "" : ", ", name, ' ', value);
  return text;
}

QuantizerOptions in_whole_form(const GraphModule& model, const QuantizerOptions& options,
                               const std::shared_ptr<const Target>& target) {
  const QuantizerOptions open = completed(options, *target, "options");
  QuantizerOptions whole = settled(open, *target);
  for (const Setting* setting : to_weigh(model, open, target)) whole.settings[setting->name] = setting->weighed->whole;
  return whole;
}

Weighing weigh_settings(const GraphModule& model, const Samples& samples, const QuantizerOptions& options,
                        const std::shared_ptr<const Target>& target) {
  const QuantizerOptions open = completed(options, *target, "options");
  Weighing weighing{settled(open, *target), {}, 0};
  if (samples.empty()) return weighing;
  const std::vector<const Setting*> settings = to_weigh(model, open, target);
  if (settings.empty()) return weighing;

  const at::NoGradGuard no_grad;
  const Scale scale(model, samples, target);
  const auto weighed = [&](size_t whole) {  // a bit each setting
    Candidate candidate;
    QuantizerOptions with = weighing.options;
    for (size_t i = 0; i < settings.size(); ++i) {
      const Setting::Weighed& forms = *settings[i]->weighed;
      candidate.settings[settings[i]->name] = (whole >> i & 1) != 0 ? forms.whole : forms.exact;
    }
    for (const auto& [name, value] : candidate.settings) with.settings[name] = value;
    try {
      scale.weigh(candidate, with);
    } catch (const Error& error) {
      if (whole == 0) throw;
      log::info(candidate.text(), " is not taken: ", error.what());
      return;
    }
    weighing.candidates.push_back(std::move(candidate));
  };
  const auto pays = [&](const Candidate& candidate) {
    const Candidate& first = weighing.candidates.front();
    return candidate.sqnr_db >= first.sqnr_db - kMostLossDb && brings_enough(candidate, first);
  };
  const size_t all = (size_t{1} << settings.size()) - 1;
  weighed(0);
  weighed(all);
  const bool all_pays = pays(weighing.candidates.back());
  for (size_t some = 1; some < all && !all_pays; ++some) weighed(some);
  for (size_t i = 1; i < weighing.candidates.size(); ++i) {
    const Candidate& candidate = weighing.candidates[i];
    if (pays(candidate) && is_better(candidate, weighing.candidates[weighing.chosen])) weighing.chosen = i;
  }
  for (const auto& [name, value] : weighing.candidates[weighing.chosen].settings) {
    weighing.options.settings[name] = value;
  }
  return weighing;
}

}  // namespace octet::targets
