#include "octet/cli/command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <memory>
#include <sstream>

#include "octet/cli/run_config.h"
#include "octet/cli/stopped.h"
#include "octet/cli/verbs.h"
#include "octet/support/error.h"
#include "octet/train/data_schemes.h"
#include "octet/version.h"

namespace octet::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

// ---- flags that several verbs share ---------------------------------------------------------------------------------

constexpr const char* kAnyModel = "Float or quantized model, a .tflite, or a name of octet models";
constexpr const char* kFloatModel = "Float model: a file, or a name of octet models";
// A lvalue, and not of type const char[]: CLI11 would take it for a variable to set.
const std::string kCalibratedQat =
    "The program of quantization-aware training, its ranges calibrated and no step trained; a --mode may say it";
constexpr const char* kNpyInputs = ".npy file, one for each input, in order";

void add_allowed_operators(CLI::App& verb, ModelArguments& model) {
  verb.add_option("--allow-operator", model.allow_operators,
                  "An operator that a model's file may hold besides octet's list (docs/security.md); may be repeated")
      ->allow_extra_args(false);
}

// What the name of one of octet's own models leaves open.
void add_named(CLI::App& verb, NamedModelArguments& named) {
  constexpr const char* kGroup = "Models by name (octet models)";
  verb.add_option("--weights", named.weights, "Trained weights, .pth, .pt or .safetensors (default: random ones)")
      ->group(kGroup);
  verb.add_flag("--new-classifier", named.new_classifier, "The last layer keeps random weights, for other classes")
      ->group(kGroup);
  verb.add_option("--classes", named.classes, "Classes (default: the model's own; of train those of the data)")
      ->check(CLI::PositiveNumber)
      ->group(kGroup);
  verb.add_option("--channels", named.channels, "Channels of the input (default: the same)")
      ->check(CLI::PositiveNumber)
      ->group(kGroup);
  verb.add_option("--width", named.width, "Times the channels of the layers")
      ->check(CLI::PositiveNumber)
      ->group(kGroup);
  verb.add_option("--dropout", named.dropout, "Probability of the dropout in front of the classifier")
      ->check(CLI::Range(0.0, 1.0))
      ->group(kGroup);
}

void add_reading(CLI::App& verb, ModelArguments& model) {
  add_allowed_operators(verb, model);
  add_named(verb, model.named);
  verb.add_option("--input-size", model.input_sizes,
                  "Sizes of an input, 1,3,224,224; one each, for files that leave sizes open: TorchScript, .pt2 with "
                  "dynamic shapes, .onnx");
}

CLI::Option* add_data(CLI::App& verb, std::string& spec) {
  return verb.add_option("--data", spec, std::string("Labelled data: ") + data_scheme_help());
}

void add_task(CLI::App& verb, std::string& task) {
  verb.add_option("--task", task,
                  "What results are compared with and measured by: classification, regression, autoencoder, "
                  "binary or multilabel")
      ->capture_default_str()
      ->check(CLI::IsMember(names_of_tasks()));
}

// Numbers in one word, "2,9": a list of words would take a model's name that stands behind it.
template <typename Number>
CLI::Option* add_numbers(CLI::App& verb, const std::string& flag, std::vector<Number>& to, size_t least, size_t most,
                         const std::string& help) {
  return verb
      .add_option_function<std::string>(
          flag,
          [flag, &to, least, most](const std::string& text) {
            to.clear();
            std::stringstream stream(text);
            for (std::string part; std::getline(stream, part, ',');) {
              if (!CLI::detail::lexical_cast(part, to.emplace_back()))
                throw CLI::ValidationError(flag, "no number: " + part);
            }
            if (to.size() >= least && to.size() <= most) return;
            const std::string wanted = least == most ? std::to_string(least) : octet::str(least, " or ", most);
            throw CLI::ValidationError(flag, octet::str("expected ", wanted, " numbers, got '", text, "'"));
          },
          help)
      ->type_name("N,N,...");
}

// How files become samples; `trains`: what is changed by chance, too.
void add_making(CLI::App& verb, MakingArguments& making, bool trains) {
  constexpr const char* kFiles = "Folders of files (images:FOLDER, audio:FOLDER)";
  constexpr const char* kPictures = "Pictures (images:FOLDER)";
  constexpr const char* kSounds = "Sounds (audio:FOLDER)";
  targets::SampleFacts& facts = making.facts;
  verb.add_option(
          "--mean", facts.mean,
          "Mean a channel, from 0 to 1: 0.5,0.5,0.5 (default: ImageNet's); of sounds one a column, or one for all")
      ->delimiter(',')
      ->group(kFiles);
  verb.add_option("--std", facts.std, "Standard deviation, as the mean")->delimiter(',')->group(kFiles);
  verb.add_option("--held-out", facts.held_out,
                  "Share of the files that are test data where the folder has no train and val (default: 0.1)")
      ->check(CLI::Range(0.0, 1.0))
      ->group(kFiles);
  verb.add_flag("--strict", making.strict, "A damaged file is an error (default: left out, counted and named)")
      ->group(kFiles);
  verb.add_option("--workers", making.workers, "Threads that prepare batches (default: one a core)")
      ->check(CLI::PositiveNumber)
      ->group(kFiles);
  verb.add_option("--resize", facts.resize,
                  "The shorter side before the crop from the middle (default: 8/7 of what the model takes)")
      ->check(CLI::PositiveNumber)
      ->group(kPictures);
  verb.add_option("--filter", facts.filter, "bilinear or bicubic (default: bilinear)")
      ->check(CLI::IsMember({"bilinear", "bicubic"}))
      ->group(kPictures);
  verb.add_option("--features", facts.features,
                  "What the model hears, as MLPerf Tiny computes it: mfcc (keywords), logmel (machines, in dB), lfbe "
                  "(streaming wake word), or samples (default: mfcc)")
      ->check(CLI::IsMember({"mfcc", "logmel", "lfbe", "samples"}))
      ->group(kSounds);
  verb.add_option("--rate", facts.rate, "Samples a second that recordings are brought to (default: 16000)")
      ->check(CLI::PositiveNumber)
      ->group(kSounds);
  verb.add_option("--window-ms", facts.window_ms, "A frame (default: 30 of mfcc, else 64)")
      ->check(CLI::PositiveNumber)
      ->group(kSounds);
  verb.add_option("--stride-ms", facts.stride_ms, "From frame to frame (default: 20 of mfcc, else 32)")
      ->check(CLI::PositiveNumber)
      ->group(kSounds);
  verb.add_option("--mel-bands", facts.bands, "Bands of the mel scale (default: 40 of mfcc, else the model's, 128, 40)")
      ->check(CLI::PositiveNumber)
      ->group(kSounds);
  add_numbers(verb, "--mel-range", facts.mel_range, 2, 2,
              "Their least and greatest Hz (default: 20,4000 of mfcc, else 0 to half the rate)")
      ->group(kSounds);
  verb.add_option("--coefficients", facts.coefficients, "Of mfcc (default: the model's, or 10)")
      ->check(CLI::PositiveNumber)
      ->group(kSounds);
  constexpr const char* kTimeLast = "The model takes [width, frames] (default: [frames, width])";
  verb.add_flag("--time-last,!--time-first", kTimeLast)
      ->each([&facts](const std::string& value) { facts.time_last = CLI::detail::to_flag_value(value) > 0; })
      ->group(kSounds);
  verb.add_option(
          "--clip-ms", facts.clip_ms,
          "What a sample hears, cut off or filled up with zeros (default: what its frames take, of mfcc and lfbe "
          "at least a second)")
      ->check(CLI::PositiveNumber)
      ->group(kSounds);
  verb.add_option("--hop-ms", facts.hop_ms,
                  "From sample to sample of one recording (default: a recording is one sample, from its begin)")
      ->check(CLI::PositiveNumber)
      ->group(kSounds);
  add_numbers(verb, "--part-ms", facts.part_ms, 2, 2, "The part of each recording that is used: 1568,8000")
      ->group(kSounds);
  if (!trains) return;
  verb.add_option("--least-scale", making.least_scale, "Random crops are at least this part of a picture")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0))
      ->group(kPictures);
  verb.add_flag("--no-mirror", making.no_mirror, "Left and right stay")->group(kPictures);
  add_numbers(verb, "--jitter", making.jitter, 3, 4,
              "How far brightness, contrast, saturation and, where it is given, hue move: 0.4,0.4,0.4,0.1")
      ->group(kPictures);
  add_numbers(verb, "--randaugment", making.rand_augment, 2, 3,
              "torchvision's RandAugment: changes a picture and their magnitude, 2,9, of 31, or of a third number")
      ->group(kPictures);
  add_numbers(verb, "--fill", making.fill, 3, 3,
              "Color where --randaugment moves a picture away: 124,116,104 (default: black)")
      ->group(kPictures);
  verb.add_option("--time-shift-ms", making.shift_ms, "Recordings move back or forth in time by at most so much")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->group(kSounds);
  add_numbers(verb, "--gain", making.gain, 2, 2, "Least and greatest factor of a recording's loudness: 0.25,1.5")
      ->group(kSounds);
  verb.add_option("--noise", making.noise, "Folder of WAV files that are heard behind the recordings")->group(kSounds);
  verb.add_option("--noise-level", making.noise_level, "Greatest factor of the noise")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->group(kSounds);
  verb.add_option("--noise-share", making.noise_share, "Of the samples that have noise")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0))
      ->group(kSounds);
}

void add_target(CLI::App& verb, std::string& target) {
  target = default_target();
  verb.add_option("--target", target, "One of octet targets")->capture_default_str();
}

void add_quantizer_settings(CLI::App& verb, QuantizerArguments& quantizer) {
  verb.add_option("--config", quantizer.config, "Settings of the quantizer, as written beside a quantized model");
  verb.add_option("--target", quantizer.target, "One of octet targets (default: " + default_target() + ")");
  verb.add_option("--mode", quantizer.mode, "How to quantize, by the target's own names: " + modes_of_targets());
  for (const SettingFlag& setting : setting_flags()) {
    verb.add_option(setting.flag, quantizer.settings[setting.name], setting.help);
  }
  verb.add_option("--leave-float", quantizer.leave_float,
                  "Leave in float what matches: an operator (conv2d, aten.conv2d.default), or a pattern for names of "
                  "modules and nodes (features.0.*); may be repeated")
      ->allow_extra_args(false);
  verb.add_option("--without-pass", quantizer.without_passes,
                  "Leave out this rewrite of the float graph (octet targets names them); may be repeated")
      ->allow_extra_args(false);
}

void add_quantizer(CLI::App& verb, QuantizerArguments& quantizer) {
  add_quantizer_settings(verb, quantizer);
  verb.add_flag("--explain", quantizer.explain, "Print the settings and what becomes of each operator");
}

void add_writing(CLI::App& verb, OutputArguments& writing) {
  verb.add_flag("--plain", writing.plain,
                ".tflite: paddings and activations as operators of their own (default: the target's form)");
  verb.add_flag("--nhwc-io", writing.nhwc_io, ".tflite: images in and out as NHWC, without transpositions");
  CLI::Option* in_float = verb.add_flag("--float-io", writing.float_io, ".tflite: float32 in and out");
  verb.add_flag("--uint8-io", writing.uint8_io, ".tflite: uint8 in and out, int8 between (default: int8 in and out)")
      ->excludes(in_float);
  verb.add_flag("--per-tensor-fc", writing.per_tensor_fc,
                ".tflite: one weight scale a FULLY_CONNECTED, for runtimes that know no others");
  verb.add_option("--batch", writing.batch, ".tflite: samples a run (default: as the model was exported)")
      ->check(CLI::PositiveNumber);
  verb.add_option("--pt2-layout", writing.pt2_layout, ".pt2: current (torch 2.9 and later) or legacy (torch 2.6)")
      ->capture_default_str()
      ->check(CLI::IsMember({"current", "legacy"}));
}

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
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--batch-size", arguments.batch_size, "Samples a run (default: as the files hold them, or 32)")
      ->check(CLI::PositiveNumber);
  add_quantizer(verb, arguments.quantizer);
  verb.add_flag("--qat,!--no-qat", kCalibratedQat)->each([&arguments](const std::string& value) {
    arguments.qat = CLI::detail::to_flag_value(value) > 0;
  });
  verb.add_option("--measure", arguments.measured,
                  "Calibration samples on which the end looks for values that quantization ruins; 0: none")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
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
  verb.add_option("--epochs", arguments.epochs, "Passes over the data")->check(CLI::PositiveNumber);
  verb.add_option("--batch-size", arguments.batch_size, "Samples a batch")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb.add_option("--accumulate", arguments.accumulate, "Batches a step, where memory does not hold all of it at once")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb.add_option("--lr", arguments.learning_rate, "Learning rate")->capture_default_str()->check(CLI::PositiveNumber);
  verb.add_option("--optimizer", arguments.optimizer, "sgd or adamw")
      ->capture_default_str()
      ->check(CLI::IsMember({"sgd", "adamw"}));
  verb.add_option("--momentum", arguments.momentum, "Of sgd")->capture_default_str()->check(CLI::Range(0.0, 1.0));
  verb.add_option("--weight-decay", arguments.weight_decay, "Weight decay")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--schedule", arguments.schedule, "constant, cosine or step")
      ->capture_default_str()
      ->check(CLI::IsMember({"constant", "cosine", "step"}));
  verb.add_option("--step-epochs", arguments.step_epochs, "Epochs between falls of the step schedule")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb.add_option("--warmup-epochs", arguments.warmup_epochs, "Linear rise of the learning rate")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--final-lr", arguments.final_lr, "Part of --lr that the cosine schedule ends at")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  verb.add_option("--label-smoothing", arguments.label_smoothing, "Label smoothing")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  verb.add_option("--mixup", arguments.mixup, "MixUp of each batch by shares of Beta(X, X), 0.2 or so; 0: none")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb.add_option(
          "--cutmix", arguments.cutmix,
          "CutMix of pictures by areas of Beta(X, X), 1 or so; with --mixup each batch has one of the two; 0: none")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--clip-grad-norm", arguments.clip_norm, "Most that all gradients together measure; 0: any")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--ema", arguments.average,
                  "Decay of a moving average of the parameters, 0.999 or so, which is measured and written; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  verb.add_option("--patience", arguments.patience,
                  "Ends behind so many epochs without a better one, and writes the best; 0: after --epochs")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb.add_flag("--distill", arguments.distill,
                "The loss is also how far the model is from --teacher; data without labels serve as well");
  verb.add_option("--teacher", arguments.teacher, "Model to learn from (default: of --qat the float model)");
  verb.add_option("--distill-temperature", arguments.temperature, "Softens both models' answers")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb.add_option("--distill-weight", arguments.distill_weight,
                  "Part of the teacher in the loss; the labels have the rest")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  verb.add_option("--freeze-observers-after", arguments.freeze_observers_after,
                  "Epochs after which ranges stop moving (default: a third)")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--freeze-bn-after", arguments.freeze_bn_after,
                  "Epochs after which BatchNorm statistics stop moving (default: never)")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--reestimate-bn", arguments.reestimate_bn,
                  "Batches on which BatchNorm statistics are found anew where they freeze, or at the end; 0: none")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb.add_flag("--learn-scales", arguments.learn_scales,
                "Scales are learned from calibrated ranges on, as LSQ and LSQ+ do (default: ranges are observed)");
  verb.add_option(
          "--warm-start", arguments.warm_start,
          "Samples on which ranges are calibrated before the first step (default: none, with --learn-scales 256)")
      ->check(CLI::NonNegativeNumber);
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
  verb.add_option("--samples", arguments.samples, "At most this many samples; 0: all")->check(CLI::NonNegativeNumber);
  add_quantizer(verb, arguments.quantizer);
  verb.add_flag("--no-augment", arguments.no_augment, "Train on the images as they are");
  verb.add_flag("--no-eval", arguments.no_eval, "Leave out the evaluations on the test data");
  verb.add_option(
          "--nproc", arguments.nproc,
          "Processes on this machine, each with its part of every batch; torchrun's and mpirun's environment do "
          "for many machines")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb.add_flag("--sync-bn", arguments.sync_bn,
                "Of several processes: BatchNorm takes the statistics of the whole batch (default: of each part)");
  verb.add_option("--checkpoints", arguments.checkpoints,
                  "Folder for the state of the run, saved after each epoch and by --save-every; of one run alone");
  verb.add_flag("--resume", arguments.resume,
                "Go on from the newest checkpoint, to the same bits as an undisturbed run; without one begin");
  verb.add_option("--save-every", arguments.save_every,
                  "Seconds between checkpoints within an epoch, the most that a kill loses; 0: after each step")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--keep", arguments.keep, "Checkpoints that stay, the best one besides")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
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
  add_making(verb, arguments.data.making, false);
  verb.add_option("--split", arguments.split, "Which part of the data")
      ->capture_default_str()
      ->check(CLI::IsMember({"train", "test"}));
  verb.add_option("--samples", arguments.data.samples, "At most this many samples; 0: all")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--batch-size", arguments.data.batch_size, "Samples a run")->check(CLI::PositiveNumber);
  verb.add_flag("--integer", arguments.integer,
                "Of a quantized model: in integers, as its .tflite computes (default: in float, on quantize and "
                "dequantize nodes)");
  add_json(verb, arguments);
  add_reading(verb, arguments.model);
}

void declare(CLI::App& verb, RunArguments& arguments) {
  verb.add_option("MODEL", arguments.model.path, kAnyModel)->required();
  verb.add_option("--input", arguments.inputs, kNpyInputs)->required();
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
  verb.add_option("--input", arguments.inputs, kNpyInputs)->required();
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
      ->check(CLI::NonNegativeNumber);
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
  verb.add_flag("--targets", arguments.targets,
                "The other targets too, in each of their modes, measured on their grids");
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
      if (!CLI::detail::lexical_cast(value, globals.seed.emplace())) {
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
  program.add_option("--threads", globals.threads, "Threads (default: all cores)")->check(CLI::PositiveNumber);
  program.add_option("--seed", globals.seed, "Seed of everything random")->default_str("0");
  program.add_flag("--quiet", globals.quiet, "Print results and warnings only");
}

class Program {
 public:
  Program()
      : app_("octet: quantization for edge NPUs. Reads a PyTorch export (.pt2), quantizes or trains it, measures it.",
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

int wrong_usage(const std::exception& wrong) {
  std::cerr << "octet: " << one_line(wrong.what()) << "; run octet --help, or octet VERB --help\n";
  return kWrongUsage;
}

int run_program(int argc, char** argv) {
  Program program;
  add_verbs(program);
  try {
    program.app().parse(argc, argv);
    return 0;
  } catch (const CLI::Success& asked) {  // --help, --version
    return program.app().exit(asked);
  } catch (const CLI::ParseError& wrong) {
    return wrong_usage(wrong);
  } catch (const Stopped& stopped) {
    std::cerr << "octet: " << one_line(stopped.what()) << '\n';
    return 128 + stopped.signal();
  } catch (const Error& error) {
    if (error.category() == ErrorCategory::kUsage) return wrong_usage(error);
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
