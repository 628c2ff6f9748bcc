#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/cli/output.h"
#include "octet/cli/print.h"
#include "octet/cli/quantizer.h"
#include "octet/cli/run_keeper.h"
#include "octet/cli/verbs.h"
#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/qdq.h"
#include "octet/report/training_reports.h"
#include "octet/support/atomic_write.h"
#include "octet/support/error.h"
#include "octet/train/progress.h"
#include "octet/train/qat.h"

namespace octet::cli {
namespace {

// The settings that the trained model came from, for the record beside it.
std::vector<std::pair<std::string, std::string>> training_facts(const TrainArguments& arguments, uint64_t seed) {
  std::vector<std::pair<std::string, std::string>> facts = {
      {"data", arguments.data},
      {"samples", octet::str(arguments.samples)},
      {"augment", arguments.no_augment ? "false" : "true"},
      {"epochs", octet::str(arguments.epochs)},
      {"batch_size", octet::str(arguments.batch_size)},
      {"seed", octet::str(seed)},
      {"lr", octet::str(arguments.learning_rate)},
      {"optimizer", arguments.optimizer},
      {"momentum", octet::str(arguments.momentum)},
      {"weight_decay", octet::str(arguments.weight_decay)},
      {"schedule", arguments.schedule},
      {"step_epochs", octet::str(arguments.step_epochs)},
      {"warmup_epochs", octet::str(arguments.warmup_epochs)},
      {"label_smoothing", octet::str(arguments.label_smoothing)},
      {"freeze_observers_after", octet::str(arguments.freeze_observers_after)},
      {"freeze_bn_after", octet::str(arguments.freeze_bn_after)}};
  if (!arguments.freeze.empty()) facts.emplace_back("freeze", arguments.freeze);
  return facts;
}

bool any_given(const QuantizerArguments& quantizer) {
  const bool any_setting = std::any_of(quantizer.settings.begin(), quantizer.settings.end(),
                                       [](const auto& setting) { return !setting.second.empty(); });
  return quantizer.explain || !quantizer.config.empty() || !quantizer.target.empty() || !quantizer.mode.empty() ||
         any_setting || !quantizer.leave_float.empty() || !quantizer.without_passes.empty();
}

void check_arguments(const TrainArguments& arguments) {
  if (arguments.in_float == arguments.qat)
    throw Error("", "train: give one of --float and --qat", ErrorCategory::kUsage);
  if (arguments.in_float && any_given(arguments.quantizer)) {
    std::string flags = "--config, --target, --mode, ";
    for (const SettingFlag& setting : setting_flags()) flags += setting.flag + ", ";
    throw Error("", "train: " + flags + "--leave-float, --without-pass and --explain are for --qat",
                ErrorCategory::kUsage);
  }
}

QatOptions qat_options(const TrainArguments& arguments) {
  QatOptions options;
  options.freeze_observers_after = arguments.freeze_observers_after;
  options.freeze_bn_after = arguments.freeze_bn_after;
  options.freeze = arguments.freeze;
  TrainOptions& training = options.train;
  training.epochs = arguments.epochs;
  training.batch_size = arguments.batch_size;
  training.learning_rate = arguments.learning_rate;
  training.optimizer.kind = optimizer_kind(arguments.optimizer);
  training.optimizer.momentum = arguments.momentum;
  training.optimizer.weight_decay = arguments.weight_decay;
  training.schedule = schedule_kind(arguments.schedule);
  training.step_epochs = arguments.step_epochs;
  training.warmup_epochs = arguments.warmup_epochs;
  training.task = classification(arguments.label_smoothing);
  training.seed = arguments.seed.value_or(0);
  return options;
}

// The names of the labels, beside the model.
void write_classes(const DataSource& data, const std::string& output) {
  const std::vector<std::string> names = data.class_names();
  if (!names.empty()) atomic_write(output + ".classes.json", nlohmann::json(names).dump(2) + "\n");
}

}  // namespace

void train(const TrainArguments& arguments) {
  check_arguments(arguments);
  targets::QuantizerConfig config;
  if (arguments.qat) config = resolve(arguments.quantizer, QuantizationMode::kQat);
  QatOptions options = qat_options(arguments);
  TrainOptions& training = options.train;

  auto model = open_model(arguments.model);
  if (is_quantized(*model)) {
    throw Error(arguments.model.path, "is quantized already").hint("train the float model with --qat");
  }
  DataArguments test{arguments.data, arguments.samples, arguments.batch_size, false, arguments.images};
  DataArguments drawn = test;
  if (!arguments.held_out.empty()) test.spec = arguments.held_out;
  drawn.augment = !arguments.no_augment;
  const ModelData data = open_data_for(*model, drawn, Split::kTrain, training.batch_size);
  training.transform = data.transform;
  training.workers = data.workers;
  ModelData held_out;
  if (!arguments.no_eval) {
    held_out = open_data_for(*model, test, Split::kTest, 250);
    training.eval_transform = held_out.transform;
  }
  std::optional<RunKeeper> keeper;
  if (!arguments.checkpoints.empty()) {
    RunFacts facts = training_facts(arguments, training.seed);
    facts.emplace_back("mode", arguments.qat ? "qat" : "float");
    facts.emplace_back("content of the data", fingerprint(*data.source));
    if (arguments.qat) facts.emplace_back("quantizer", to_json(config).dump());
    keeper.emplace(CheckpointOptions{arguments.checkpoints, arguments.keep, arguments.save_every}, std::move(facts),
                   arguments.resume);
  }
  const TrainHooks hooks = keeper ? keeper->hooks() : TrainHooks();
  Progress progress(arguments.qat ? "qat" : "float");
  std::shared_ptr<GraphModule> trained;
  TrainResult result;
  if (arguments.qat) {
    targets::TableQuantizer quantizer = make_quantizer(config.options);
    if (arguments.quantizer.explain) {
      print(quantizer.explain(*model), quantizer, arguments.json ? std::cerr : std::cout);
    }
    QatResult qat = train_qat(model, quantizer, data.source, options, hooks, held_out.source, &progress);
    trained = qat.quantized;
    result = std::move(qat.training);
  } else {
    FrozenLayers frozen;
    if (!arguments.freeze.empty()) frozen = freeze_layers(*model, arguments.freeze);
    result = octet::train(model_handle(model), data.source, training, hooks, held_out.source, &progress, "float");
    unfreeze_layers(*model, frozen);
    model->train(false);
    trained = std::move(model);
  }
  if (arguments.qat) {
    config.calibration.reset();
    config.training = training_facts(arguments, training.seed);
  }
  write_model(*trained, arguments.output, arguments.writing, arguments.qat ? to_json(config).dump() : std::string());
  if (arguments.qat) {
    write_config(config, arguments.output);
  }
  report::TrainingReport report{arguments.output, arguments.qat, std::move(result), std::nullopt};
  if (!arguments.no_eval) {
    EvaluateOptions evaluation;
    evaluation.task = training.task;
    evaluation.transform = held_out.transform;
    evaluation.progress = &progress;
    evaluation.workers = held_out.workers;
    report.evaluation = evaluate(model_handle(trained), held_out.source, evaluation);
  }
  report.left_out = static_cast<int64_t>(data.source->left_out().size());
  if (held_out.source) report.left_out += static_cast<int64_t>(held_out.source->left_out().size());
  write_classes(*data.source, arguments.output);
  print(report, arguments.json);
}

}  // namespace octet::cli
