#include <ATen/core/Generator.h>
#include <ATen/core/grad_mode.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/cli/output.h"
#include "octet/cli/page_of.h"
#include "octet/cli/print.h"
#include "octet/cli/quantizer.h"
#include "octet/cli/verbs.h"
#include "octet/quantize/calibrate.h"
#include "octet/quantize/compare.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/report/model_reports.h"
#include "octet/report/numbers.h"
#include "octet/support/bytes_text.h"
#include "octet/support/error.h"
#include "octet/support/json_text.h"
#include "octet/support/log.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/placement/warnings.h"
#include "octet/targets/engine/weigh_settings.h"
#include "octet/targets/targets.h"
#include "octet/train/loader.h"

namespace octet::cli {

using targets::CalibrationFacts;
using targets::QuantizationPlan;
using targets::QuantizerConfig;
using targets::QuantizerOptions;

namespace {

constexpr int64_t kWeighedSamples = 16;  // that settings on auto are decided by

std::optional<QuantizationMode> mode_of(std::optional<bool> qat) {
  if (!qat) return std::nullopt;
  return *qat ? QuantizationMode::kQat : QuantizationMode::kPtq;
}

// What the arguments say of the calibration, else the config; nullopt where nobody names data.
std::optional<CalibrationFacts> calibration_facts(const QuantizeArguments& arguments, const QuantizerConfig& config) {
  CalibrationFacts facts;
  facts.samples = kCalibrationSamples;
  if (config.calibration) facts = *config.calibration;
  if (!arguments.data.empty()) facts.data = arguments.data;
  facts.seed = arguments.seed.value_or(facts.seed);
  if (facts.data.empty()) return std::nullopt;
  facts.samples = arguments.samples.value_or(facts.samples);
  facts.batch_size = arguments.batch_size.value_or(facts.batch_size);
  return facts;
}

// What the flags say of how samples are made, else the config: both end up in both.
void settle(MakingArguments& flags, targets::SampleFacts& facts) {
  facts = settled(flags.facts, facts);
  flags.facts = facts;
}

using Samples = std::vector<std::vector<at::Tensor>>;

// All that the loader gives; `calibration` takes the batch size that it has found.
Samples read_samples(GraphModule& model, CalibrationFacts& calibration, const MakingArguments& making) {
  const ModelData data = open_data_for(
      model, {calibration.data, calibration.samples, calibration.batch_size, false, making}, Split::kTrain, 32);
  LoaderOptions loading;
  loading.workers = data.workers;
  loading.batch_size = data.batch_size;
  loading.transform = data.transform;
  Samples samples;
  int64_t count = 0;
  for (Batch& batch : Loader(data.source, loading).epoch(0)) {
    count += batch.size();
    samples.push_back(std::move(batch.inputs));
  }
  log::info("calibrating on ", count, " samples of ", calibration.data);
  calibration.batch_size = data.batch_size;
  return samples;
}

// Of a quantizer whose grids ask for no data.
std::shared_ptr<GraphModule> quantized_without_data(std::shared_ptr<GraphModule> model, Quantizer& quantizer) {
  auto prepared = prepare(std::move(model), quantizer);
  if (needs_calibration(*prepared)) {
    throw Error("", "--calibrate, or --config with calibration data, is required", ErrorCategory::kUsage);
  }
  return finish(std::move(prepared), quantizer);
}

// Sizes of the inputs along dimension 0, as the model was exported; 0 for scalars.
std::vector<int64_t> exported_batches(const GraphModule& model) {
  std::vector<int64_t> batches;
  for (const Node* input : model.graph().placeholders()) {
    batches.push_back(input->sizes().empty() ? 0 : input->sizes().front());
  }
  return batches;
}

// Up to `count` runs of the model's own batch, cut out of the first samples.
Samples few(const Samples& samples, const std::vector<int64_t>& batches, int64_t count) {
  Samples cut;
  for (const std::vector<at::Tensor>& sample : samples) {
    int64_t pieces = 1;
    const auto is_cut = [&](size_t i) {
      return batches[i] > 0 && sample[i].dim() > 0 && sample[i].size(0) > batches[i];
    };
    for (size_t i = 0; i < sample.size(); ++i) {
      if (is_cut(i)) pieces = std::max(pieces, sample[i].size(0) / batches[i]);
    }
    for (int64_t piece = 0; piece < pieces && static_cast<int64_t>(cut.size()) < count; ++piece) {
      cut.emplace_back();
      for (size_t i = 0; i < sample.size(); ++i) {
        cut.back().push_back(is_cut(i) ? sample[i].narrow(0, piece * batches[i], batches[i]) : sample[i]);
      }
    }
  }
  return cut;
}

// The options with all settings decided, and said where samples decided them.
QuantizerOptions weighed(const GraphModule& model, const Samples& samples, const QuantizerOptions& options) {
  const targets::Weighing weighing = weigh_settings(model, samples, options, all_targets().find(options.target));
  for (size_t i = 0; i < weighing.candidates.size(); ++i) {
    const targets::Weighing::Candidate& each = weighing.candidates[i];
    log::info(each.text(), ": ", report::decibel_text(each.sqnr_db, 1), " dB on calibration data, ",
              report::count_text(each.partitions, "partition"), ", ", each.on_cpu, " on the CPU",
              i == weighing.chosen ? ": taken" : "");
  }
  return weighing.options;
}

// What the program itself tells, and what a few samples tell of it; a place is named once.
std::vector<targets::Warning> warnings_of(GraphModule& float_model, GraphModule& quantized, const Samples& samples,
                                          const targets::Target& target) {
  std::vector<targets::Warning> found;
  if (!samples.empty()) found = loss_warnings(value_losses(float_model, quantized, samples), target);
  std::set<std::string> places;
  for (const targets::Warning& warning : found) places.insert(warning.where);
  for (targets::Warning& warning : find_warnings(quantized, target)) {
    if (!places.contains(warning.where)) found.push_back(std::move(warning));
  }
  return found;
}

// Labels are measured on the test part of the calibration data, which may be another.
void write_report(const QuantizeArguments& arguments, const QuantizerConfig& config, GraphModule& float_model,
                  const std::shared_ptr<GraphModule>& quantized, targets::TableQuantizer& quantizer,
                  const report::QuantizationReport& found, const Samples& sample) {
  report::Page page;
  page.title = std::filesystem::path(arguments.output).filename().string();
  page.what = octet::str("quantized after training for ", config.options.target);
  page.warnings = found.warnings;
  page.key_facts = {{"in float", bytes_text(found.float_bytes)}, {"quantized", bytes_text(found.bytes)}};
  if (config.calibration) {
    MakingArguments making = arguments.making;
    targets::SampleFacts facts = config.calibration->made;
    settle(making, facts);
    const DataArguments test{config.calibration->data, 0, 0, false, making};
    // A copy each: what data asks of a batch changes the model.
    const std::shared_ptr<GraphModule> own = float_model.copy(), made = quantized->copy();
    const PageData on{open_data_for(*own, test, Split::kTest, 250), classification()};
    if (on.data.source->has_targets() && on.data.source->num_classes() > 0) {
      page.measured_on = test.spec;
      measure(page, "float", own, on);
      measure(page, "PTQ", made, {open_data_for(*made, test, Split::kTest, 250), on.task});
      measure_in_integers(page, "PTQ", *quantized, on);
    }
  }
  if (!sample.empty()) add_noise(page, float_model, *quantized, sample.front(), quantizer.target());
  add_placement(page, *quantized, quantizer);
  page.config = json_text(to_json(config), 2);
  page.facts = {{"model", arguments.model.path}, {"output", arguments.output}};
  add_versions(page, arguments.seed.value_or(0));
  write_page(page, arguments.report);
}

void say(const std::vector<targets::Warning>& warnings) {
  constexpr size_t kShown = 12;
  for (size_t i = 0; i < std::min(warnings.size(), kShown); ++i) log::warn(text(warnings[i]));
  if (warnings.size() > kShown) log::warn(warnings.size() - kShown, " more of the kind: --json lists all");
}

}  // namespace

void quantize(const QuantizeArguments& arguments) {
  QuantizerConfig config = resolve(arguments.quantizer, mode_of(arguments.qat));
  std::optional<CalibrationFacts> calibration = calibration_facts(arguments, config);
  check_making(calibration ? calibration->data : "", arguments.making);
  check_outputs({arguments.output, arguments.report}, {arguments.model.path});
  at::manual_seed(calibration ? calibration->seed : arguments.seed.value_or(0));
  auto model = open_model(arguments.model);
  const int64_t float_bytes = model_bytes(*model);
  if (is_quantized(*model)) throw Error(arguments.model.path, "is quantized already").hint("give the float model");
  const std::vector<int64_t> batches = exported_batches(*model);
  Samples samples;
  if (calibration) {
    MakingArguments making = arguments.making;
    settle(making, calibration->made);
    samples = read_samples(*model, *calibration, making);
  }
  config.options = weighed(*model, few(samples, batches, kWeighedSamples), config.options);
  targets::TableQuantizer quantizer = make_quantizer(config.options);
  // Its model serves as the float one below: the names there are those of the quantized one.
  const targets::TableQuantizer::Explanation explanation = quantizer.explain(*model);
  if (arguments.quantizer.explain) print(explanation, quantizer, arguments.json ? std::cerr : std::cout);
  const at::NoGradGuard no_grad;
  auto quantized =
      calibration ? calibrate_and_quantize(model, samples, quantizer) : quantized_without_data(model, quantizer);
  config.calibration = calibration;
  config.training.clear();  // of the run that the config came from
  write_model(*quantized, arguments.output, arguments.writing, json_text(to_json(config)),
              samples.empty() ? std::vector<at::Tensor>() : samples.front());
  write_config(config, arguments.output);
  std::set<std::string> left;  // it may still read and give quantized values
  for (const QuantizationPlan::Entry& entry : explanation.plan.entries) {
    if (!is_annotated(*entry.node)) left.insert(entry.node->name());
  }
  report::QuantizationReport report{arguments.output, config.options.target,  0, 0,
                                    float_bytes,      model_bytes(*quantized)};
  for (const QuantRow& row : quantization_rows(*quantized)) {
    if (row.op == "input") continue;
    ++report.operators;
    bool any = row.output.has_value();
    for (const auto& input : row.inputs) any = any || input.has_value();
    report.in_float += any && !left.count(row.name) ? 0 : 1;
  }
  explanation.model->train(false);
  report.warnings =
      warnings_of(*explanation.model, *quantized, few(samples, batches, arguments.measured), quantizer.target());
  say(report.warnings);
  if (!arguments.report.empty()) {
    write_report(arguments, config, *explanation.model, quantized, quantizer, report, few(samples, batches, 1));
  }
  print(report, arguments.json);
}

}  // namespace octet::cli
