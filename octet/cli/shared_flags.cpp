#include "octet/cli/shared_flags.h"

#include <CLI/CLI.hpp>

#include <cmath>
#include <sstream>

#include "octet/support/text.h"
#include "octet/train/data_schemes.h"

namespace octet::cli {
namespace {

CLI::Validator numbers(const std::string& what, const std::string& type, bool (*fits)(double)) {
  const auto check = [what, fits](std::string& text) {
    double value = 0;
    const bool is_one = CLI::detail::lexical_cast(text, value) && std::isfinite(value) && fits(value);
    return is_one ? std::string() : octet::str("expected ", what, ", got '", text, "'");
  };
  return {check, type};
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
              if (!CLI::detail::lexical_cast(part, to.emplace_back()) ||
                  !std::isfinite(static_cast<double>(to.back()))) {
                throw CLI::ValidationError(flag, "no number: '" + part + "'");
              }
            }
            if (to.size() >= least && to.size() <= most) return;
            const std::string wanted = least == most ? std::to_string(least) : octet::str(least, " or ", most);
            throw CLI::ValidationError(flag, octet::str("expected ", wanted, " numbers, got '", text, "'"));
          },
          help)
      ->type_name("N,N,...");
}

}  // namespace

CLI::Validator finite() {
  return numbers("a number", "", [](double) { return true; });
}
CLI::Validator positive() {
  return numbers("a number over 0", "over 0", [](double value) { return value > 0; });
}
CLI::Validator not_negative() {
  return numbers("0 or more", "0 or more", [](double value) { return value >= 0; });
}
CLI::Validator up_to_one() {
  return numbers("a number from 0 to 1", "0 to 1", [](double value) { return value >= 0 && value <= 1; });
}

void add_allowed_operators(CLI::App& verb, ModelArguments& model) {
  verb.add_option("--allow-operator", model.allow_operators,
                  "An operator that a model's file may hold besides octet's list (docs/security.md); may be repeated")
      ->allow_extra_args(false);
}

void add_named(CLI::App& verb, NamedModelArguments& named) {
  constexpr const char* kGroup = "Models by name (octet models)";
  verb.add_option(
          "--weights", named.weights,
          "Trained weights, .pth, .pt, .safetensors, or the float .tflite of the same network (default: random ones)")
      ->group(kGroup);
  verb.add_flag("--new-classifier", named.new_classifier, "The last layer keeps random weights, for other classes")
      ->group(kGroup);
  verb.add_option("--classes", named.classes, "Classes (default: the model's own; of train those of the data)")
      ->check(positive())
      ->group(kGroup);
  verb.add_option("--channels", named.channels, "Channels of the input (default: the same)")
      ->check(positive())
      ->group(kGroup);
  verb.add_option("--width", named.width, "Times the channels of the layers")->check(positive())->group(kGroup);
  verb.add_option("--dropout", named.dropout, "Probability of the dropout in front of the classifier")
      ->check(up_to_one())
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

void add_device(CLI::App& verb, std::string& device) {
  verb.add_option("--device", device,
                  "cpu, cuda or cuda:N: a GPU computes by plain formulas; of several processes each has one of its own")
      ->capture_default_str();
}

void add_making(CLI::App& verb, MakingArguments& making, bool trains) {
  constexpr const char* kFiles = "Folders of files (images:FOLDER, audio:FOLDER)";
  constexpr const char* kPictures = "Pictures (images:FOLDER)";
  constexpr const char* kSounds = "Sounds (audio:FOLDER)";
  targets::SampleFacts& facts = making.facts;
  verb.add_option(
          "--mean", facts.mean,
          "Mean a channel, from 0 to 1: 0.5,0.5,0.5 (default: ImageNet's); of sounds one a column, or one for all")
      ->delimiter(',')
      ->check(finite())
      ->group(kFiles);
  verb.add_option("--std", facts.std, "Standard deviation, as the mean")
      ->delimiter(',')
      ->check(positive())
      ->group(kFiles);
  verb.add_option("--held-out", facts.held_out,
                  "Share of the files that are test data where the folder has no train and val (default: 0.1)")
      ->check(up_to_one())
      ->group(kFiles);
  verb.add_flag("--strict", making.strict, "A damaged file is an error (default: left out, counted and named)")
      ->group(kFiles);
  verb.add_option("--workers", making.workers, "Threads that prepare batches (default: one a core)")
      ->check(positive())
      ->group(kFiles);
  verb.add_option("--resize", facts.resize,
                  "The shorter side before the crop from the middle (default: 8/7 of what the model takes)")
      ->check(positive())
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
      ->check(positive())
      ->group(kSounds);
  verb.add_option("--window-ms", facts.window_ms, "A frame (default: 30 of mfcc, else 64)")
      ->check(positive())
      ->group(kSounds);
  verb.add_option("--stride-ms", facts.stride_ms, "From frame to frame (default: 20 of mfcc, else 32)")
      ->check(positive())
      ->group(kSounds);
  verb.add_option("--mel-bands", facts.bands, "Bands of the mel scale (default: 40 of mfcc, else the model's, 128, 40)")
      ->check(positive())
      ->group(kSounds);
  add_numbers(verb, "--mel-range", facts.mel_range, 2, 2,
              "Their least and greatest Hz (default: 20,4000 of mfcc, else 0 to half the rate)")
      ->group(kSounds);
  verb.add_option("--coefficients", facts.coefficients, "Of mfcc (default: the model's, or 10)")
      ->check(positive())
      ->group(kSounds);
  constexpr const char* kTimeLast = "The model takes [width, frames] (default: [frames, width])";
  verb.add_flag("--time-last,!--time-first", kTimeLast)
      ->each([&facts](const std::string& value) { facts.time_last = CLI::detail::to_flag_value(value) > 0; })
      ->group(kSounds);
  verb.add_option(
          "--clip-ms", facts.clip_ms,
          "What a sample hears, cut off or filled up with zeros (default: what its frames take, of mfcc and lfbe "
          "at least a second)")
      ->check(positive())
      ->group(kSounds);
  verb.add_option("--hop-ms", facts.hop_ms,
                  "From sample to sample of one recording (default: a recording is one sample, from its begin)")
      ->check(positive())
      ->group(kSounds);
  add_numbers(verb, "--part-ms", facts.part_ms, 2, 2, "The part of each recording that is used: 1568,8000")
      ->group(kSounds);
  if (!trains) return;
  verb.add_option("--least-scale", making.least_scale, "Random crops are at least this part of a picture")
      ->capture_default_str()
      ->check(up_to_one())
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
      ->check(not_negative())
      ->group(kSounds);
  add_numbers(verb, "--gain", making.gain, 2, 2, "Least and greatest factor of a recording's loudness: 0.25,1.5")
      ->group(kSounds);
  verb.add_option("--noise", making.noise, "Folder of WAV files that are heard behind the recordings")->group(kSounds);
  verb.add_option("--noise-level", making.noise_level, "Greatest factor of the noise")
      ->capture_default_str()
      ->check(not_negative())
      ->group(kSounds);
  verb.add_option("--noise-share", making.noise_share, "Of the samples that have noise")
      ->capture_default_str()
      ->check(up_to_one())
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
      ->check(positive());
  verb.add_option("--pt2-layout", writing.pt2_layout, ".pt2: current (torch 2.9 and later) or legacy (torch 2.6)")
      ->capture_default_str()
      ->check(CLI::IsMember({"current", "legacy"}));
}

}  // namespace octet::cli
