#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/cli/verbs.h"
#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"
#include "octet/train/integer_handle.h"
#include "octet/train/progress.h"

namespace octet::cli {
namespace {

struct Options {
  std::string model;
  DataChoice data;
  std::string split = "test";
  bool json = false;
  bool integer = false;
  std::vector<std::string> input_sizes;
};

// What is measured, and on which data.
struct Subject {
  ModelHandle model;
  ModelData data;
  std::string arithmetic;
};

Subject open_subject(const Options& options) {
  const Split split = options.split == "train" ? Split::kTrain : Split::kTest;
  if (tflite::is_tflite(options.model)) {
    auto executor = std::make_shared<const integer::Executor>(tflite::read(options.model));
    ModelData data = open_data_for(executor->model(), options.data, split, 250);
    return {model_handle(std::move(executor)), std::move(data), "integers"};
  }
  auto model = open_model(options.model, options.input_sizes);
  ModelData data = open_data_for(*model, options.data, split, 250);
  if (!options.integer) return {model_handle(std::move(model)), std::move(data), "float"};
  if (!is_quantized(*model)) throw Error(options.model, "is not quantized").hint("leave --integer out");
  return {model_handle(std::make_shared<const integer::Executor>(lower(*model, {.batch = 1}))), std::move(data),
          "integers"};
}

void eval(const Options& options) {
  const auto [model, data, arithmetic] = open_subject(options);
  Progress progress("eval");
  EvaluateOptions evaluation;
  evaluation.batch_size = data.batch_size;
  evaluation.channels_last = arithmetic == "float";
  evaluation.transform = data.transform;
  evaluation.progress = &progress;
  const Accuracy accuracy = evaluate(model, data.dataset, evaluation);
  if (options.json) {
    const nlohmann::ordered_json json = {{"model", options.model},    {"arithmetic", arithmetic},
                                         {"data", options.data.spec}, {"samples", accuracy.samples},
                                         {"top1", accuracy.top1},     {"top5", accuracy.top5},
                                         {"loss", accuracy.loss}};
    std::cout << json.dump(2) << '\n';
  } else {
    std::cout << "top-1 " << fixed(accuracy.top1, 4) << "  top-5 " << fixed(accuracy.top5, 4) << "  loss "
              << fixed(accuracy.loss, 4) << "  (" << accuracy.samples << " samples, "
              << fixed(accuracy.images_per_second, 0) << " a second)\n";
  }
}

}  // namespace

void add_eval(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      program.add_subcommand("eval", "Accuracy of a model: in float, or in integers as the device computes");
  verb->add_option("MODEL", options->model, "Float or quantized model, or an int8 .tflite")->required();
  verb->add_option("--data", options->data.spec, std::string("Labelled data: ") + data_scheme_help())->required();
  verb->add_option("--split", options->split, "Which part of the data")
      ->capture_default_str()
      ->check(CLI::IsMember({"train", "test"}));
  verb->add_option("--samples", options->data.samples, "At most this many samples; 0: all")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--batch-size", options->data.batch_size, "Samples a run")->check(CLI::PositiveNumber);
  verb->add_flag("--integer", options->integer,
                 "Of a quantized model: in integers, as its .tflite computes (default: in float, on quantize and "
                 "dequantize nodes)");
  verb->add_flag("--json", options->json, "Print JSON");
  add_input_size(*verb, options->input_sizes);
  verb->callback([options] { eval(*options); });
}

}  // namespace octet::cli
