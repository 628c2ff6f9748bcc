#include "octet/cli/page_of.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <map>

#include "octet/integer/memory_plan.h"
#include "octet/lowering/lowering.h"
#include "octet/quantize/compare.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/trained_weights.h"
#include "octet/report/numbers.h"
#include "octet/support/atomic_write.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/train/integer_handle.h"
#include "octet/version.h"

namespace octet::cli {
namespace {

void add_measured(report::Page& page, const std::string& name, const std::string& arithmetic, const ModelHandle& model,
                  const PageData& data) {
  EvaluateOptions options;
  options.task = data.task;
  options.batch_size = data.data.batch_size;
  options.channels_last = arithmetic != "integers";
  options.transform = data.data.transform;
  options.workers = data.data.workers;
  page.measured.push_back({name, arithmetic, evaluate(model, data.data.source, options)});
}

// Of placed operators: the one that each value comes from, whatever lies between.
report::Edges edges_of(const targets::Placement& placement, const GraphModule& model) {
  std::map<std::string, size_t> rows;
  for (size_t i = 0; i < placement.operators.size(); ++i) rows.emplace(placement.operators[i].name, i);
  report::Edges edges;
  std::map<const Node*, std::vector<size_t>> behind;  // the operators that a value comes from
  for (const Node* node : model.graph().nodes()) {
    std::vector<size_t> from;
    for (const Node* input : node->inputs()) {
      for (const size_t row : behind[input]) {
        if (std::find(from.begin(), from.end(), row) == from.end()) from.push_back(row);
      }
    }
    const auto own = rows.find(node->name());
    if (own == rows.end()) {
      behind[node] = std::move(from);
      continue;
    }
    for (const size_t row : from) edges.emplace_back(row, own->second);
    behind[node] = {own->second};
  }
  return edges;
}

std::optional<tflite::Model> program_of(const GraphModule& quantized) {
  try {
    return lower(quantized, {.batch = 1});
  } catch (const Error& error) {
    log::debug("no integer program: ", error.what());
    return std::nullopt;
  }
}

}  // namespace

void measure(report::Page& page, const std::string& name, std::shared_ptr<GraphModule> model, const PageData& data) {
  const std::string arithmetic = is_quantized(*model) ? "float, on its grids" : "float";
  add_measured(page, name, arithmetic, model_handle(std::move(model)), data);
}

void measure_in_integers(report::Page& page, const std::string& name, const GraphModule& quantized,
                         const PageData& data) {
  if (data.data.source->gives_sets()) return;
  const std::optional<tflite::Model> program = program_of(quantized);
  if (program) measure_program(page, name, std::make_shared<const integer::Executor>(*program), data);
}

void measure_program(report::Page& page, const std::string& name, std::shared_ptr<const integer::Executor> program,
                     const PageData& data) {
  add_measured(page, name, "integers", model_handle(std::move(program)), data);
}

void add_placement(report::Page& page, const GraphModule& model, targets::TableQuantizer& quantizer) {
  page.check = targets::check_model(model, quantizer);
  page.edges = edges_of(page.check->placement, model);
  const targets::Placement& placement = page.check->placement;
  const char* place = placement.by_patterns ? "of the MACs in integers" : "of the MACs on the NPU";
  page.key_facts.emplace_back(place, report::share_text(placement.npu_macs(), placement.macs()));
  page.key_facts.emplace_back("multiply-accumulates",
                              report::fixed(static_cast<double>(placement.macs()) / 1e6, 2) + " M");
  if (page.check->memory.is_known()) {
    page.key_facts.emplace_back("arena", bytes_text(page.check->memory.arena_bytes));
    page.key_facts.emplace_back("constants", bytes_text(page.check->memory.constant_bytes));
  }
  for (const targets::Warning& warning : page.check->warnings) {
    const bool known = std::any_of(page.warnings.begin(), page.warnings.end(),
                                   [&](const targets::Warning& other) { return other.where == warning.where; });
    if (!known) page.warnings.push_back(warning);
  }
  if (!is_quantized(model)) return;
  if (const auto program = program_of(model)) page.alive_bytes = integer::plan_memory(*program).alive_bytes;
}

void add_noise(report::Page& page, GraphModule& float_model, GraphModule& quantized,
               const std::vector<at::Tensor>& sample, const targets::Target& target) {
  if (sample.empty()) return;
  const at::NoGradGuard no_grad;
  float_model.train(false);
  quantized.train(false);
  const TrainedWeights weights = find_trained_weights(float_model, quantized);
  const auto own = weights.trained > 0 ? with_float_values(quantized) : nullptr;
  if (own) {
    own->train(false);
    const double before = compare_models(float_model, quantized, sample).output_sqnr_db.at(0);
    page.noise_beside = octet::str(
        "The weights of ", weights.trained, " of ", weights.layers,
        " layers were trained on: no rounding of the float model's gives them, and what lies between the two models (",
        report::decibel_text(before, 1),
        " dB at the output) is no noise. So the model is held against itself: the same "
        "weights, with all values in float. Accuracy says what training was worth.");
  }
  GraphModule& beside = own ? *own : float_model;
  const Comparison comparison = compare_models(beside, quantized, sample);
  const std::vector<ValueLoss> losses = value_losses(beside, quantized, {sample});
  page.values = study_values(beside, quantized, sample);
  for (targets::Warning& warning : targets::loss_warnings(losses, target)) {
    const bool known = std::any_of(page.warnings.begin(), page.warnings.end(),
                                   [&](const targets::Warning& other) { return other.where == warning.where; });
    if (!known) page.warnings.push_back(std::move(warning));
  }
  page.output_sqnr_db = comparison.output_sqnr_db;
  page.layers = report::diagnose(comparison, losses, page.values, page.warnings);
}

void add_versions(report::Page& page, std::optional<uint64_t> seed) {
  page.facts.emplace_back("octet", version());
  page.facts.emplace_back("libtorch", torch_version());
  page.facts.emplace_back("threads", std::to_string(at::get_num_threads()));
  if (seed) page.facts.emplace_back("seed", std::to_string(*seed));
}

void write_page(const report::Page& page, const std::string& path) {
  atomic_write(path, page.html());
  log::info("report: ", path);
}

}  // namespace octet::cli
