#include <ATen/core/grad_mode.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/cli/output.h"
#include "octet/cli/quantizer_flags.h"
#include "octet/cli/verbs.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/rows.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/neutron/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/loader.h"

namespace octet::cli {
namespace {

struct Options {
  std::string model;
  DataChoice data;
  QuantizerFlags quantizer;
  bool qat = false;
  // To know what was given.
  CLI::Option* qat_flag = nullptr;
  CLI::Option* samples = nullptr;
  CLI::Option* batch_size = nullptr;
  std::string output;
  OutputFlags writing;
  std::vector<std::string> input_sizes;
};

bool given(const CLI::Option* option) { return option->count() > 0; }

// What the config says of the calibration, where no flag says it.
void take_calibration(Options& options, const QuantizerConfig& config) {
  if (config.calibration) {
    const CalibrationFacts& facts = *config.calibration;
    if (options.data.spec.empty()) options.data.spec = facts.data;
    if (!given(options.samples)) options.data.samples = facts.samples;
    if (!given(options.batch_size)) options.data.batch_size = facts.batch_size;
    seed_or(facts.seed);
  }
  if (options.data.spec.empty()) throw CLI::RequiredError("--calibrate, or --config with calibration data,");
}

void quantize(Options options) {
  QuantizerConfig config =
      resolve(options.quantizer, given(options.qat_flag) ? std::optional(options.qat) : std::nullopt);
  take_calibration(options, config);
  const bool qat = config.options.is_qat;
  auto model = open_model(options.model, options.input_sizes);
  const int64_t float_bytes = model_bytes(*model);
  if (is_quantized(*model)) throw Error(options.model, "is quantized already").hint("give the float model");
  NeutronQuantizer quantizer(config.options);
  const ModelData data = open_data_for(*model, options.data, Split::kTrain, 32);
  const NeutronQuantizer::Explanation explanation = quantizer.explain(*model);
  if (options.quantizer.explain) print(explanation, config.options, std::cout);
  LoaderOptions loading;
  loading.batch_size = data.batch_size;
  loading.transform = data.transform;
  std::vector<std::vector<at::Tensor>> samples;
  int64_t count = 0;
  for (Batch& batch : Loader(data.dataset, loading).epoch(0)) {
    count += batch.size();
    samples.push_back(std::move(batch.inputs));
  }
  log::info("calibrating on ", count, " samples of ", options.data.spec);
  const at::NoGradGuard no_grad;
  auto quantized = calibrate_and_quantize(model, samples, quantizer, qat);
  config.calibration = CalibrationFacts{options.data.spec, options.data.samples, data.batch_size, seed()};
  config.training.clear();  // of the run that the config came from
  write_model(*quantized, options.output, options.writing, to_json(config).dump());
  write_config(config, options.output);
  std::set<std::string> left;  // it may still read and give quantized values
  for (const QuantizationPlan::Entry& entry : explanation.plan.entries) {
    if (!is_annotated(*entry.node)) left.insert(entry.node->name());
  }
  size_t operators = 0;
  size_t in_float = 0;
  for (const QuantRow& row : quantization_rows(*quantized)) {
    if (row.op == "input") continue;
    ++operators;
    bool any = row.output.has_value();
    for (const auto& input : row.inputs) any = any || input.has_value();
    in_float += any && !left.count(row.name) ? 0 : 1;
  }
  std::cout << options.output << ": " << operators << " operators, " << operators - in_float << " quantized for "
            << config.options.target << (in_float > 0 ? octet::str(", ", in_float, " left in float") : "") << "; "
            << bytes_text(float_bytes) << " -> " << bytes_text(model_bytes(*quantized)) << '\n';
}

}  // namespace

void add_quantize(CLI::App& program) {
  auto options = std::make_shared<Options>();
  options->data.samples = 256;
  CLI::App* verb =
      program.add_subcommand("quantize", "Quantize a float model after training, its ranges from calibration data");
  verb->add_option("MODEL", options->model, "Float model")->required();
  verb->add_option("--calibrate", options->data.spec,
                   std::string("Calibration data (default: the config's): ") + data_scheme_help());
  options->samples = verb->add_option("--samples", options->data.samples, "At most this many samples; 0: all")
                         ->capture_default_str()
                         ->check(CLI::NonNegativeNumber);
  options->batch_size = verb->add_option("--batch-size", options->data.batch_size,
                                         "Samples a run (default: as the files hold them, or 32)")
                            ->check(CLI::PositiveNumber);
  add_quantizer_flags(*verb, options->quantizer);
  options->qat_flag =
      verb->add_flag("--qat,!--no-qat", options->qat,
                     "The program of quantization-aware training, its ranges calibrated and no step trained");
  verb->add_option("-o,--output", options->output,
                   "Quantized model to write: .tflite, .pt2, or octet's own file by any other ending")
      ->required();
  add_output_flags(*verb, options->writing);
  add_input_size(*verb, options->input_sizes);
  verb->callback([options] { quantize(*options); });
}

}  // namespace octet::cli
