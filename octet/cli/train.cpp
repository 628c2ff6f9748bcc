#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/cli/output.h"
#include "octet/cli/quantizer_flags.h"
#include "octet/cli/verbs.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/progress.h"
#include "octet/train/qat.h"

namespace octet::cli {
namespace {

struct Options {
  std::string model;
  DataChoice data;
  bool in_float = false;
  bool qat = false;
  QatOptions training;
  std::string optimizer = "sgd";
  std::string schedule = "cosine";
  QuantizerFlags quantizer;
  std::string output;
  bool no_augment = false;
  bool no_eval = false;
  OutputFlags writing;
  std::vector<std::string> input_sizes;
};

std::string accuracy_text(const Accuracy& accuracy) {
  return octet::str("top-1 ", fixed(accuracy.top1, 4), "  top-5 ", fixed(accuracy.top5, 4));
}

// The settings that the trained model came from, for the record beside it.
std::vector<std::pair<std::string, std::string>> training_facts(const Options& options) {
  const TrainOptions& training = options.training.train;
  return {{"data", options.data.spec},
          {"samples", octet::str(options.data.samples)},
          {"augment", options.no_augment ? "false" : "true"},
          {"epochs", octet::str(training.epochs)},
          {"batch_size", octet::str(training.batch_size)},
          {"seed", octet::str(training.seed)},
          {"lr", octet::str(training.learning_rate)},
          {"optimizer", options.optimizer},
          {"momentum", octet::str(training.optimizer.momentum)},
          {"weight_decay", octet::str(training.optimizer.weight_decay)},
          {"schedule", options.schedule},
          {"step_epochs", octet::str(training.step_epochs)},
          {"warmup_epochs", octet::str(training.warmup_epochs)},
          {"label_smoothing", octet::str(training.label_smoothing)},
          {"freeze_observers_after", octet::str(options.training.freeze_observers_after)},
          {"freeze_bn_after", octet::str(options.training.freeze_bn_after)}};
}

bool any_given(const QuantizerFlags& flags) {
  return flags.explain || !flags.config.empty() || !flags.target.empty() || !flags.mul_range.empty() ||
         !flags.sigmoid_input.empty() || !flags.leave_float.empty();
}

void train_verb(Options options) {
  if (options.in_float == options.qat) throw CLI::ValidationError("train", "give one of --float and --qat");
  if (options.in_float && any_given(options.quantizer)) {
    throw CLI::ValidationError(
        "train", "--config, --target, --mul-range, --sigmoid-input, --leave-float and --explain are for --qat");
  }
  QuantizerConfig config;
  if (options.qat) config = resolve(options.quantizer, /*is_qat=*/true);
  TrainOptions& training = options.training.train;
  training.optimizer.kind = optimizer_kind(options.optimizer);
  training.schedule = schedule_kind(options.schedule);
  training.seed = seed();
  options.data.batch_size = training.batch_size;
  options.data.augment = !options.no_augment;

  auto model = open_model(options.model, options.input_sizes);
  if (is_quantized(*model)) throw Error(options.model, "is quantized already").hint("train the float model with --qat");
  const ModelData data = open_data_for(*model, options.data, Split::kTrain, training.batch_size);
  training.transform = data.transform;
  DataChoice test = options.data;
  test.augment = false;
  ModelData held_out;
  if (!options.no_eval) {
    held_out = open_data_for(*model, test, Split::kTest, 250);
    training.eval_transform = held_out.transform;
  }
  Progress progress(options.qat ? "qat" : "float");
  std::shared_ptr<GraphModule> trained;
  TrainResult result;
  if (options.qat) {
    NeutronQuantizer quantizer(config.options);
    if (options.quantizer.explain) print(quantizer.explain(*model), config.options, std::cout);
    QatResult qat = train_qat(model, quantizer, data.dataset, options.training, {}, held_out.dataset, &progress);
    trained = qat.quantized;
    result = std::move(qat.training);
  } else {
    result = train(model_handle(model), data.dataset, training, {}, held_out.dataset, &progress, "float");
    model->train(false);
    trained = std::move(model);
  }
  if (options.qat) {
    config.calibration.reset();
    config.training = training_facts(options);
  }
  write_model(*trained, options.output, options.writing, options.qat ? to_json(config).dump() : std::string());
  if (options.qat) {
    write_config(config, options.output);
  }
  std::cout << options.output << ": " << result.epochs.size() << " epochs, " << fixed(result.seconds, 1) << " s";
  if (!options.no_eval) {
    EvaluateOptions evaluation;
    evaluation.transform = held_out.transform;
    evaluation.progress = &progress;
    const Accuracy accuracy = evaluate(model_handle(trained), held_out.dataset, evaluation);
    std::cout << ", " << (options.qat ? "quantized model: " : "") << accuracy_text(accuracy);
  }
  std::cout << '\n';
}

}  // namespace

void add_train(CLI::App& program) {
  auto options = std::make_shared<Options>();
  TrainOptions& training = options->training.train;
  training.learning_rate = 0.01;
  training.batch_size = 64;
  CLI::App* verb = program.add_subcommand("train", "Train a model in float, or quantization-aware");
  verb->add_option("MODEL", options->model, "Float model")->required();
  verb->add_option("--data", options->data.spec, std::string("Labelled data: ") + data_scheme_help())->required();
  verb->add_flag("--float", options->in_float, "Train in float");
  verb->add_flag("--qat", options->qat, "Train with quantization in the loop and write the quantized model");
  verb->add_option("--epochs", training.epochs, "Passes over the data")->required()->check(CLI::PositiveNumber);
  verb->add_option("--batch-size", training.batch_size, "Samples a step")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb->add_option("--lr", training.learning_rate, "Learning rate")->capture_default_str()->check(CLI::PositiveNumber);
  verb->add_option("--optimizer", options->optimizer, "sgd or adamw")
      ->capture_default_str()
      ->check(CLI::IsMember({"sgd", "adamw"}));
  verb->add_option("--momentum", training.optimizer.momentum, "Of sgd")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option("--weight-decay", training.optimizer.weight_decay, "Weight decay")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--schedule", options->schedule, "constant, cosine or step")
      ->capture_default_str()
      ->check(CLI::IsMember({"constant", "cosine", "step"}));
  verb->add_option("--step-epochs", training.step_epochs, "Epochs between falls of the step schedule")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb->add_option("--warmup-epochs", training.warmup_epochs, "Linear rise of the learning rate")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--label-smoothing", training.label_smoothing, "Label smoothing")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option("--freeze-observers-after", options->training.freeze_observers_after,
                   "Epochs after which ranges stop moving (default: a third)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--freeze-bn-after", options->training.freeze_bn_after,
                   "Epochs after which BatchNorm statistics stop moving (default: never)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--samples", options->data.samples, "At most this many samples; 0: all")
      ->check(CLI::NonNegativeNumber);
  add_quantizer_flags(*verb, options->quantizer);
  verb->add_flag("--no-augment", options->no_augment, "Train on the images as they are");
  verb->add_flag("--no-eval", options->no_eval, "Leave out the evaluations on the test data");
  verb->add_option(
          "-o,--output", options->output,
          "Model to write, the trained float one or the quantized one: .tflite, .pt2, or octet's own file by any other "
          "ending")
      ->required();
  add_output_flags(*verb, options->writing);
  add_input_size(*verb, options->input_sizes);
  verb->callback([options] { train_verb(*options); });
}

}  // namespace octet::cli
