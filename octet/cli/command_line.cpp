#include "octet/cli/command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <memory>

#include "octet/cli/run_config.h"
#include "octet/cli/shared_flags.h"
#include "octet/cli/stopped.h"
#include "octet/cli/verbs.h"
#include "octet/support/error.h"
#include "octet/train/data_schemes.h"
#include "octet/version.h"

namespace octet::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

constexpr const char* kAnyModel = "Float or quantized model, a .tflite, or a name of octet models";
constexpr const char* kFloatModel = "Float model: a file, or a name of octet models";
// A lvalue, and not of type const char[]: CLI11 would take it for a variable to set.
const std::string kCalibratedQat =
    "The program of quantization-aware training, its ranges calibrated and no step trained; a --mode may say it";
constexpr const char* kNpyInputs = ".npy file, one for each input, in order";

template <typename Arguments>
void add_json(CLI::App& verb, Arguments& arguments, const std::string& help = "Print JSON") {
  verb.add_flag("--json", arguments.json, help);
}

// ---- the verbs' own flags -------------------------------------------------------------------------------------------

void declare(CLI::App& verb, QuantizeArguments& arguments) {
  verb.add_option("MODEL", arguments.model.path, kFloatModel)->required();
  verb.add_option("--calibrate", arguments.data,
                  std::string("Calibration data (default: the config's): ") + data_scheme_help());
  add_making(verb, arguments.making, false);
  verb.add_option("--samples", arguments.samples, "At most this many samples; 0: all")
      ->default_str(std::to_string(kCalibrationSamples))
      ->check(not_negative());
  verb.add_option("--batch-size", arguments.batch_size, "Samples a run (default: as the files hold them, or 32)")
      ->check(positive());
  add_quantizer(verb, arguments.quantizer);
  verb.add_flag("--qat,!--no-qat", kCalibratedQat)->each([&arguments](const std::string& value) {
    arguments.qat = CLI::detail::to_flag_value(value) > 0;
  });
  verb.add_option("--measure", arguments.measured,
                  "Calibration samples on which the end looks for values that quantization ruins; 0: none")
      ->capture_default_str()
      ->check(not_negative());
  verb.add_option("-o,--output", arguments.output,
                  "Quantized model to write: .tflite, .pt2, or octet's own file by any other ending")
      ->required();
  verb.add_option("--report", arguments.report,
                  "Page to write, .html: accuracy, noise and ranges by layer, placement, memory (octet report)");
  add_writing(verb, arguments.writing);
  add_json(verb, arguments);
  add_reading(verb, arguments.model);
}

void declare(CLI::App& verb, TrainArguments& arguments) {
  verb.add_option("MODEL", arguments.model.path, kFloatModel);
  add_data(verb, arguments.data);
  verb.add_option("--val", arguments.held_out, "Other data to measure with (default: the test part of --data)");
  add_making(verb, arguments.making, true);
  add_task(verb, arguments.task);
  verb.add_option(
      "--class-weights", arguments.class_weights,
      "What a sample of each class counts: numbers as 1,2,0.5, or balanced: all classes the same in the whole");
  verb.add_flag("--float", arguments.in_float, "Train in float");
  verb.add_flag("--qat", arguments.qat, "Train with quantization in the loop and write the quantized model");
  verb.add_option("--epochs", arguments.epochs, "Passes over the data")->check(positive());
  verb.add_option("--batch-size", arguments.batch_size, "Samples a batch")->capture_default_str()->check(positive());
  verb.add_option("--accumulate", arguments.accumulate, "Batches a step, where memory does not hold all of it at once")
      ->capture_default_str()
      ->check(positive());
  verb.add_option("--lr", arguments.learning_rate, "Learning rate")->capture_default_str()->check(positive());
  verb.add_option("--optimizer", arguments.optimizer, "sgd or adamw")
      ->capture_default_str()
      ->check(CLI::IsMember({"sgd", "adamw"}));
  verb.add_option("--momentum", arguments.momentum, "Of sgd")->capture_default_str()->check(up_to_one());
  verb.add_option("--weight-decay", arguments.weight_decay, "Weight decay")
      ->capture_default_str()
      ->check(not_negative());
  verb.add_option("--schedule", arguments.schedule, "constant, cosine or step")
      ->capture_default_str()
      ->check(CLI::IsMember({"constant", "cosine", "step"}));
  verb.add_option("--step-epochs", arguments.step_epochs, "Epochs between falls of the step schedule")
      ->capture_default_str()
      ->check(positive());
  verb.add_option("--warmup-epochs", arguments.warmup_epochs, "Linear rise of the learning rate")
      ->capture_default_str()
      ->check(not_negative());
  verb.add_option("--final-lr", arguments.final_lr, "Part of --lr that the cosine schedule ends at")
      ->capture_default_str()
      ->check(up_to_one());
  verb.add_option("--label-smoothing", arguments.label_smoothing, "Label smoothing")
      ->capture_default_str()
      ->check(up_to_one());
  verb.add_option("--mixup", arguments.mixup, "MixUp of each batch by shares of Beta(X, X), 0.2 or so; 0: none")
      ->capture_default_str()
      ->check(not_negative());
  verb.add_option(
          "--cutmix", arguments.cutmix,
          "CutMix of pictures by areas of Beta(X, X), 1 or so; with --mixup each batch has one of the two; 0: none")
      ->capture_default_str()
      ->check(not_negative());
  verb.add_option("--clip-grad-norm", arguments.clip_norm, "Most that all gradients together measure; 0: any")
      ->capture_default_str()
      ->check(not_negative());
  verb.add_option("--ema", arguments.average,
                  "Decay of a moving average of the parameters, 0.999 or so, which is measured and written; 0: none")
      ->capture_default_str()
      ->check(up_to_one());
  verb.add_option("--patience", arguments.patience,
                  "Ends behind so many epochs without a better one, and writes the best; 0: after --epochs")
      ->capture_default_str()
      ->check(not_negative());
  verb.add_flag("--distill", arguments.distill,
                "The loss is also how far the model is from --teacher; data without labels serve as well");
  verb.add_option("--teacher", arguments.teacher, "Model to learn from (default: of --qat the float model)");
  verb.add_option("--distill-temperature", arguments.temperature, "Softens both models' answers")
      ->capture_default_str()
      ->check(positive());
  verb.add_option("--distill-weight", arguments.distill_weight,
                  "Part of the teacher in the loss; the labels have the rest")
      ->capture_default_str()
      ->check(up_to_one());
  verb.add_option("--freeze-observers-after", arguments.freeze_observers_after,
                  "Epochs after which ranges stop moving (default: a third)")
      ->check(not_negative());
  verb.add_option("--freeze-bn-after", arguments.freeze_bn_after,
                  "Epochs after which BatchNorm statistics stop moving (default: never)")
      ->check(not_negative());
  verb.add_option("--reestimate-bn", arguments.reestimate_bn,
                  "Batches on which BatchNorm statistics are found anew where they freeze, or at the end; 0: none")
      ->capture_default_str()
      ->check(not_negative());
  verb.add_flag("--learn-scales", arguments.learn_scales,
                "Scales are learned from calibrated ranges on, as LSQ and LSQ+ do (default: ranges are observed)");
  verb.add_option(
          "--warm-start", arguments.warm_start,
          "Samples on which ranges are calibrated before the first step (default: none, with --learn-scales 256)")
      ->check(not_negative());
  verb.add_option("--fused", arguments.fused,
                  "With --qat: BatchNorm, activation and fake quantizer in one pass over memory: yes or no")
      ->default_str("yes");
  verb.add_option("--freeze", arguments.freeze,
                  "Layers that are not trained, their BatchNorm statistics with them: a share from the network's begin "
                  "(0.5), or names of modules or parameters, separated by commas");
  verb.add_option(
          "--integer-prefix", arguments.integer_prefix,
          "With --qat and --freeze: once ranges stop moving, what stands before the first trained layer runs in "
          "the device's integers: yes or no")
      ->default_str("yes");
  verb.add_option("--update-share", arguments.update_share,
                  "With --qat: the share of the output channels whose weights are trained, those with the greatest "
                  "weights; the others stay as they are")
      ->capture_default_str()
      ->check(up_to_one());
  verb.add_option("--update-by", arguments.update_by,
                  "Among what that share is taken: the channels of each layer, those of the whole network, or "
                  "whole-layers")
      ->capture_default_str()
      ->check(CLI::IsMember({"layer", "network", "whole-layers"}));
  verb.add_option("--update-every", arguments.update_every, "Steps behind which they are chosen anew")
      ->capture_default_str()
      ->check(positive());
  verb.add_option("--samples", arguments.samples, "At most this many samples; 0: all")->check(not_negative());
  add_quantizer(verb, arguments.quantizer);
  verb.add_flag("--no-augment", arguments.no_augment, "Train on the images as they are");
  verb.add_flag("--no-eval", arguments.no_eval, "Leave out the evaluations on the test data");
  add_device(verb, arguments.device);
  verb.add_option(
          "--nproc", arguments.nproc,
          "Processes on this machine, each with its part of every batch; torchrun's and mpirun's environment do "
          "for many machines")
      ->capture_default_str()
      ->check(positive());
  verb.add_flag("--sync-bn", arguments.sync_bn,
                "Of several processes: BatchNorm takes the statistics of the whole batch (default: of each part)");
  verb.add_option("--checkpoints", arguments.checkpoints,
                  "Folder for the state of the run, saved after each epoch and by --save-every; of one run alone");
  verb.add_flag("--resume", arguments.resume,
                "Go on from the newest checkpoint, to the same bits as an undisturbed run; without one begin");
  verb.add_option("--save-every", arguments.save_every,
                  "Seconds between checkpoints within an epoch, the most that a kill loses; 0: after each step")
      ->capture_default_str()
      ->check(not_negative());
  verb.add_option("--keep", arguments.keep, "Checkpoints that stay, the best one besides")
      ->capture_default_str()
      ->check(positive());
  verb.add_option("--tensorboard", arguments.tensorboard,
                  "Folder for TensorBoard's event files: loss, rate and speed by step, scores, weights and ranges by "
                  "epoch");
  verb.add_option(
      "-o,--output", arguments.output,
      "Model to write, the trained float one or the quantized one: .tflite, .pt2, or octet's own file by any other "
      "ending");
  verb.add_option("--report", arguments.report,
                  "Page to write, .html: accuracy, noise and ranges by layer, placement, memory (octet report)");
  add_writing(verb, arguments.writing);
  add_json(verb, arguments);
  add_reading(verb, arguments.model);
}

void declare(CLI::App& verb, EvalArguments& arguments) {
  verb.add_option("MODEL", arguments.model.path, kAnyModel)->required();
  add_data(verb, arguments.data.spec)->required();
  add_task(verb, arguments.task);
  add_device(verb, arguments.device);
  add_making(verb, arguments.data.making, false);
  verb.add_option("--split", arguments.split, "Which part of the data")
      ->capture_default_str()
      ->check(CLI::IsMember({"train", "test"}));
  verb.add_option("--samples", arguments.data.samples, "At most this many samples; 0: all")->check(not_negative());
  verb.add_option("--batch-size", arguments.data.batch_size, "Samples a run")->check(positive());
  verb.add_flag("--integer", arguments.integer,
                "Of a quantized model: in integers, as its .tflite computes (default: in float, on quantize and "
                "dequantize nodes)");
  add_json(verb, arguments);
  add_reading(verb, arguments.model);
}

void declare(CLI::App& verb, RunArguments& arguments) {
  verb.add_option("MODEL", arguments.model.path, kAnyModel)->required();
  verb.add_option("--input", arguments.inputs, kNpyInputs);
  verb.add_option("--output", arguments.outputs, ".npy file, one for each output, in order")->required();
  verb.add_flag(
      "--dequantize", arguments.dequantize,
      "Results of a .tflite in float (default: as the program gives them). Its int8 inputs take int8 files as "
      "they are, and float files quantized");
  verb.add_flag("--check-overflow", arguments.check_overflow,
                "Of a .tflite: an accumulator that leaves int32 is an error (slow)");
  add_reading(verb, arguments.model);
}

void declare(CLI::App& verb, InspectArguments& arguments) {
  verb.add_option("MODEL", arguments.model.path, kAnyModel)->required();
  add_json(verb, arguments, "JSON: facts of a float model, a row an operator of a quantized one");
  verb.add_flag("--graph", arguments.graph, "The program, a line a node");
  add_reading(verb, arguments.model);
}

void declare(CLI::App& verb, CompareArguments& arguments) {
  verb.add_option("FLOAT", arguments.model.path, kFloatModel)->required();
  verb.add_option("QUANTIZED", arguments.quantized, "Quantized or prepared model")->required();
  verb.add_option("--input", arguments.inputs, kNpyInputs);
  add_data(verb, arguments.data.spec);
  verb.add_option("--samples", arguments.data.samples, "With --data: so many of its first, in one batch (default: 8)")
      ->check(positive());
  verb.add_option("--split", arguments.split, "Which part of the data")
      ->capture_default_str()
      ->check(CLI::IsMember({"train", "test"}));
  add_making(verb, arguments.data.making, false);
  add_json(verb, arguments);
  add_reading(verb, arguments.model);
}

void declare(CLI::App& verb, CheckArguments& arguments) {
  verb.add_option("MODEL", arguments.model.path, kAnyModel)->required();
  add_quantizer_settings(verb, arguments.quantizer);
  add_json(verb, arguments, "JSON: a row an operator; with several sizes an array of such objects");
  verb.add_option("--input-size", arguments.model.input_sizes,
                  "Another input size: 224, 224x160, or whole as 1,3,224,224 (several inputs joined by +). Several of "
                  "them are compared");
  add_allowed_operators(verb, arguments.model);
  add_named(verb, arguments.model.named);
}

void declare(CLI::App& verb, ExportArguments& arguments) {
  verb.add_option("MODEL", arguments.model.path, "Quantized model; for --pt2 also a float or a prepared one")
      ->required();
  verb.add_option("--tflite", arguments.tflite, "int8 .tflite to write");
  verb.add_option("--from", arguments.from,
                  "A node at which the part begins that is written: what it gives becomes an input; may be repeated")
      ->allow_extra_args(false);
  verb.add_option("--to", arguments.to,
                  "A node with which that part ends: what it gives becomes a result; may be repeated")
      ->allow_extra_args(false);
  verb.add_flag("--largest-prefix", arguments.prefix,
                "Write the largest part from the inputs on that a .tflite can hold, and say what is left out");
  verb.add_option("--pt2", arguments.pt2, ".pt2 to write");
  verb.add_option("--encodings", arguments.encodings, "JSON of every scale and zero point to write");
  CLI::Option* explorer =
      verb.add_option("--model-explorer", arguments.model_explorer,
                      "JSON to lay over the .tflite or .pt2 in Google's Model Explorer: what runs on "
                      "the NPU; with --float FILE.sqnr.json besides, the noise of each operator");
  CLI::Option* in_float =
      verb.add_option("--float", arguments.float_model, "For --model-explorer: the float model that it came from")
          ->needs(explorer);
  verb.add_option("--input", arguments.inputs, "For --float: .npy file, one for each input, in order")->needs(in_float);
  add_writing(verb, arguments.writing);
  add_json(verb, arguments);
  add_reading(verb, arguments.model);
}

void declare(CLI::App& verb, VerifyArguments& arguments) {
  verb.add_option("MODEL", arguments.model.path, "Quantized model")->required();
  verb.add_option("TFLITE", arguments.program, "The .tflite that was written of it")->required();
  verb.add_option("--input", arguments.inputs, kNpyInputs)->required();
  add_json(verb, arguments);
  add_reading(verb, arguments.model);
}

void declare(CLI::App& verb, ReportArguments& arguments) {
  verb.add_option("RUN_OR_MODEL", arguments.model.path,
                  "Float or quantized model, a .tflite, or a folder of checkpoints")
      ->required();
  verb.add_option("--float", arguments.float_model, "The float model that it came from, for noise and ranges by layer");
  add_data(verb, arguments.data.spec);
  add_making(verb, arguments.data.making, false);
  verb.add_option("--samples", arguments.data.samples, "At most this many samples of the test data; 0: all")
      ->check(not_negative());
  add_task(verb, arguments.task);
  verb.add_option("-o,--output", arguments.output, "Page to write, .html: it needs no network and no script")
      ->required();
  add_reading(verb, arguments.model);
}

void declare(CLI::App& verb, ModelsArguments& arguments) { verb.add_flag("--json", arguments.json, "Print JSON"); }

void declare(CLI::App& verb, OperatorsArguments& arguments) { add_target(verb, arguments.target); }

void declare(CLI::App& verb, TargetsArguments& arguments) { verb.add_flag("--json", arguments.json, "Print JSON"); }

void declare(CLI::App& verb, DemoArguments& arguments) {
  verb.add_flag("--full", arguments.full, "Train longer, for the best accuracy");
  auto* others =
      verb.add_flag("--targets", arguments.targets,
                    "The other targets too, each in the mode it usually has, after training and in training: "
                    "in one table");
  verb.add_flag("--all-modes", arguments.all_modes, "With --targets: in each of their modes; takes hours")
      ->needs(others);
  add_target(verb, arguments.target);
  verb.add_option("--save", arguments.save, "Folder for the three models, the int8 ones as .tflite too")
      ->check(CLI::ExistingDirectory);
  add_json(verb, arguments);
}

// ---- a run in a config file -----------------------------------------------------------------------------------------

// Flags of `train` that are no part of its run: the quantizer's stand in the file's other keys, the rest is of this
// call.
std::set<std::string> outside_of_the_run() {
  std::set<std::string> names = {"help",   "json", "resume",      "explain",     "config",
                                 "target", "mode", "leave_float", "without_pass"};
  for (const SettingFlag& setting : setting_flags()) names.insert(setting.name);
  return names;
}

// The config's settings, what the command line gives put over them; and all that the run stands at.
void complete(CLI::App& verb, TrainArguments& arguments, GlobalArguments& globals) {
  const std::set<std::string> outside = outside_of_the_run();
  const std::string& config = arguments.quantizer.config;
  if (!config.empty()) {
    std::set<std::string> left_out = outside;
    left_out.insert("seed");
    if (arguments.in_float || arguments.qat) left_out.insert({"float", "qat"});
    const RunSettings settings = run_settings(config);
    take_settings(verb, settings, left_out, config);
    for (const auto& [name, value] : settings) {
      if (name != "seed" || globals.seed) continue;
      if (value.starts_with('-') || !CLI::detail::lexical_cast(value, globals.seed.emplace())) {
        throw Error(config, octet::str("training.seed: expected a number, got '", value, "'"));
      }
      apply(globals);
    }
  }
  for (const auto& [is_missing, name] :
       {std::pair(arguments.model.path.empty(), "MODEL"), std::pair(arguments.data.empty(), "--data"),
        std::pair(arguments.epochs == 0, "--epochs"), std::pair(arguments.output.empty(), "--output")}) {
    if (is_missing) throw CLI::RequiredError(name);
  }
  arguments.settings = settings_of(verb, outside);
  arguments.at_defaults = at_defaults(verb);
  arguments.settings.emplace_back("seed", std::to_string(globals.seed.value_or(0)));
}

// ---- the program ----------------------------------------------------------------------------------------------------

void declare(CLI::App& program, GlobalArguments& globals) {
  constexpr int kMostThreads = 256;
  program.add_option("--threads", globals.threads, "Threads (default: all cores)")->check(CLI::Range(1, kMostThreads));
  program.add_option("--seed", globals.seed, "Seed of everything random")->default_str("0")->check(not_negative());
  program.add_flag("--quiet", globals.quiet, "Print results and warnings only");
}

class Program {
 public:
  Program()
      : app_(
            "octet: quantization for edge NPUs. Reads a PyTorch export (.pt2), ONNX or TFLite, quantizes or trains it, "
            "measures it.",
            "octet") {
    app_.set_version_flag("--version", std::string("octet ") + version() + " (libtorch " + torch_version() + ")");
    app_.require_subcommand(1);
    app_.fallthrough();
    declare(app_, globals_);
    app_.parse_complete_callback([this] { apply(globals_); });
  }

  /// A verb: its name, its line of help, and the function that runs it on its arguments.
  template <typename Arguments>
  void add(const std::string& name, const std::string& help, void (*run)(const Arguments&)) {
    CLI::App* verb = app_.add_subcommand(name, help);
    auto arguments = std::make_shared<Arguments>();
    declare(*verb, *arguments);
    verb->callback([this, verb, arguments, run] {
      if constexpr (requires { complete(*verb, *arguments, globals_); }) complete(*verb, *arguments, globals_);
      if constexpr (requires { arguments->seed; }) arguments->seed = globals_.seed;
      run(*arguments);
      say_held_warnings();
    });
  }

  CLI::App& app() { return app_; }

 private:
  CLI::App app_;
  GlobalArguments globals_;
};

void add_verbs(Program& program) {
  program.add("quantize", "Quantize a float model after training, its ranges from calibration data", quantize);
  program.add("train", "Train a model in float, or quantization-aware", train);
  program.add("eval", "Accuracy of a model: in float, or in integers as the device computes", eval);
  program.add("run", "Run a model on .npy files and write its outputs as .npy files", run);
  program.add("inspect", "Inputs, outputs, operators and sizes; of a quantized model every scale and zero point",
              inspect);
  program.add("compare", "Signal to quantization noise of the outputs and of every layer, worst first", compare);
  program.add("check",
              "What will run on the NPU, what will not and why: of a float model before calibration, or a quantized "
              "one",
              check);
  program.add("report",
              "A page of what a model or a run is worth: accuracy, training, noise by layer, ranges, placement, memory",
              report_page);
  program.add("export",
              "Write a quantized model for other tools: .tflite, .pt2 for PyTorch and ExecuTorch, encodings as JSON",
              export_model);
  program.add("verify",
              "A quantized model in float beside its .tflite in integers, layer by layer: in the run of the whole, and "
              "alone, each operator on what the float model gives it",
              verify);
  program.add("targets", "The targets that octet knows: what each is, its modes, schemes, settings and limits",
              targets);
  program.add("models", "The models that octet builds by name: input, parameters, multiply-accumulates, what for",
              models);
  program.add("operators", "The operators that a target knows, and their limits, as Markdown", operators);
  program.add("demo",
              "Fashion-MNIST from nothing: train in float, quantize after training, train quantization-aware, compare",
              demo);
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

int wrong_usage(const std::string& wrong) {
  std::cerr << "octet: " << one_line(wrong) << "; run octet --help, or octet VERB --help\n";
  return kWrongUsage;
}

// Results that do not arrive are no success.
int with_results_written(int status) {
  if (status != 0 || std::cout.flush()) return status;
  std::cerr << "octet: [standard output] cannot be written whole\n";
  return kFailed;
}

int run_program(int argc, char** argv) {
  Program program;
  add_verbs(program);
  try {
    program.app().parse(argc, argv);
    return with_results_written(0);
  } catch (const CLI::Success& asked) {  // --help, --version
    return with_results_written(program.app().exit(asked));
  } catch (const CLI::ParseError& wrong) {
    const std::vector<std::string> unknown = program.app().remaining();
    if (!program.app().get_subcommands().empty() || unknown.empty()) return wrong_usage(wrong.what());
    return wrong_usage("'" + unknown.front() + "' is no verb and no flag of octet");
  } catch (const Stopped& stopped) {
    std::cerr << "octet: " << one_line(stopped.what()) << '\n';
    return 128 + stopped.signal();
  } catch (const Error& error) {
    if (error.category() == ErrorCategory::kUsage) return wrong_usage(error.what());
    std::cerr << "octet: " << one_line(error.what()) << '\n';
    return kFailed;
  } catch (const std::exception& error) {
    std::cerr << "octet: " << one_line(message_of(error)) << '\n';
    return kFailed;
  }
}

}  // namespace
}  // namespace octet::cli

extern "C" int octet_main(int argc, char** argv) { return octet::cli::run_program(argc, argv); }
