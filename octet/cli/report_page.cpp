#include <filesystem>

#include "octet/cli/common.h"
#include "octet/cli/output.h"
#include "octet/cli/page_of.h"
#include "octet/cli/quantizer.h"
#include "octet/cli/verbs.h"
#include "octet/formats/tflite.h"
#include "octet/integer/executor.h"
#include "octet/integer/memory_plan.h"
#include "octet/lowering/program_graph.h"
#include "octet/quantize/qdq.h"
#include "octet/report/numbers.h"
#include "octet/support/error.h"
#include "octet/train/checkpoints.h"
#include "octet/train/tasks.h"

namespace octet::cli {
namespace {

constexpr int64_t kSample = 8;  // samples that noise and ranges are looked at on

// A folder of checkpoints: what the run has found so far.
report::Page page_of_run(const std::string& folder) {
  report::Page page;
  const SavedRun run = read_run(folder);
  page.title = std::filesystem::path(folder).lexically_normal().filename().string();
  if (page.title.empty() || page.title == ".") page.title = folder;
  page.title = "Run " + page.title;
  const size_t epochs = run.result.epochs.size();
  page.what =
      octet::str("behind step ", run.step, ", ", report::count_text(static_cast<int64_t>(epochs), "whole epoch"));
  page.training = run.result;
  page.key_facts = {{"steps", std::to_string(run.step)}, {"epochs", std::to_string(epochs)}};
  if (epochs > 0) {
    const EpochInfo& best = run.result.epochs.at(static_cast<size_t>(run.result.best_epoch));
    if (best.evaluation && !best.evaluation->scores.empty()) {
      page.key_facts.emplace_back("best " + best.evaluation->scores[0].title,
                                  report::fixed(best.evaluation->scores[0].value, 4));
    }
  }
  page.facts = run.facts;
  return page;
}

// The float model that the quantized one is held against, as the passes of its target leave it.
void add_comparison(report::Page& page, const ReportArguments& arguments, const targets::TableQuantizer& quantizer,
                    GraphModule& quantized, const std::optional<ModelData>& data) {
  auto model = open_model(arguments.model.with_path(arguments.float_model));
  std::vector<at::Tensor> sample;
  if (data) {
    const ModelData own = open_data_for(*model, arguments.data, Split::kTest, 250);
    page.measured_on = arguments.data.spec;
    measure(page, "float", model, {own, task_named(arguments.task)});
    sample = first_batch(own, kSample);
  } else {
    sample = random_inputs(*model);
    page.facts.emplace_back("noise and ranges", "on random inputs: --data gives real ones");
  }
  const auto explained = quantizer.explain(*model).model;
  add_noise(page, *explained, quantized, sample, quantizer.target());
}

}  // namespace

void report_page(const ReportArguments& arguments) {
  const std::string& path = arguments.model.path;
  check_making(arguments.data.spec, arguments.data.making);
  check_outputs({arguments.output}, {path, arguments.float_model});
  report::Page page;
  if (std::filesystem::is_directory(path)) {
    page = page_of_run(path);
    add_versions(page, std::nullopt);
    return write_page(page, arguments.output);
  }
  page.title = std::filesystem::path(path).filename().string();
  page.facts.emplace_back("model", path);
  const bool is_tflite = is_program(arguments.model);
  const auto model = is_tflite ? graph_of(tflite::read(path)) : open_model(arguments.model);
  const bool quantized = is_quantized(*model);
  targets::TableQuantizer quantizer = quantizer_beside(path, quantized);
  page.what = octet::str(quantized ? "quantized" : "float", " model, target ", quantizer.target().name);
  std::optional<ModelData> data;
  if (!arguments.data.spec.empty() && !is_tflite) {
    data = open_data_for(*model, arguments.data, Split::kTest, 250);
    page.measured_on = arguments.data.spec;
  }
  if (!arguments.float_model.empty()) {
    if (!quantized) throw Error(path, "is not quantized").hint("--float is for a quantized model");
    add_comparison(page, arguments, quantizer, *model, data);
    page.facts.emplace_back("float model", arguments.float_model);
  }
  if (data) {
    const PageData on{*data, task_named(arguments.task)};
    measure(page, quantized ? "quantized" : "float", model, on);
    if (quantized) measure_in_integers(page, "quantized", *model, on);
  } else if (is_tflite && !arguments.data.spec.empty()) {
    auto executor = std::make_shared<const integer::Executor>(tflite::read(path));
    const ModelData own = open_data_for(executor->model(), arguments.data, Split::kTest, 250);
    page.measured_on = arguments.data.spec;
    measure_program(page, "program", executor, {own, task_named(arguments.task)});
  }
  add_placement(page, *model, quantizer);
  if (is_tflite) page.alive_bytes = integer::plan_memory(tflite::read(path)).alive_bytes;
  page.key_facts.emplace_back("parameters", bytes_text(model_bytes(*model)));
  add_versions(page, std::nullopt);
  const std::string config = config_beside(path);
  if (!config.empty()) page.config = config;
  for (const auto& [key, value] : model->facts()) page.facts.emplace_back(key, value);
  write_page(page, arguments.output);
}

}  // namespace octet::cli
