#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "octet/targets/engine/sample_facts.h"

namespace octet::cli {

// A verb is its arguments, plain data that the command line fills, and one function that runs it (CONTRIBUTING.md).
// Neither CLI11 nor libtorch stands here: command_line.cpp includes the first, the verbs' own sources the second.

/// What is taken before or after any verb.
struct GlobalArguments {
  int threads = 0;  ///< 0: all cores
  std::optional<uint64_t> seed;
  bool quiet = false;
};

/// Puts them in force: threads, log level and the seed, 0 where none is given.
void apply(const GlobalArguments& globals);
/// What libtorch warned of so far, each text once: held back until the verb has ended well.
void say_held_warnings();

/// Of a model that is built by its name (octet models) what the name leaves open.
struct NamedModelArguments {
  std::string weights;          ///< file of a state dict; empty: random
  bool new_classifier = false;  ///< the last layer stays random
  std::optional<int64_t> classes;
  std::optional<int64_t> channels;
  std::optional<double> width;
  std::optional<double> dropout;
};

/// A model's file, or the name of one of octet's own, and what must be said to open it.
struct ModelArguments {
  std::string path;
  std::vector<std::string> input_sizes;      ///< "1,3,224,224", one an input; for TorchScript
  std::vector<std::string> allow_operators;  ///< that the file may hold besides octet's list
  NamedModelArguments named = {};

  /// Another model, opened as this one is.
  ModelArguments with_path(const std::string& other) const { return {other, input_sizes, allow_operators}; }
};

/// How the files of images:FOLDER and audio:FOLDER become samples (octet/train/image_folder.h, audio_folder.h).
struct MakingArguments {
  targets::SampleFacts facts;
  // By chance, in training.
  std::vector<double> jitter;         ///< brightness, contrast, saturation, hue; empty: none
  std::vector<int64_t> rand_augment;  ///< changes, magnitude, bins; empty: none
  std::vector<int64_t> fill;          ///< of what it moves away: red, green, blue; empty: black
  double least_scale = 0.08;
  bool no_mirror = false;
  double shift_ms = 0.0;
  std::vector<double> gain;  ///< least and greatest; empty: none
  std::string noise;         ///< folder; empty: none
  double noise_level = 0.1;
  double noise_share = 0.8;

  bool strict = false;
  int64_t workers = 0;  ///< threads that prepare batches; 0: one, for pictures and sounds one a core
};

/// Which data, and how much of it.
struct DataArguments {
  std::string spec;
  int64_t samples = 0;     ///< 0: all
  int64_t batch_size = 0;  ///< 0: as the files hold them, or the verb's default
  bool augment = false;
  MakingArguments making = {};
};

/// What the verbs that quantize say of the quantizer. Empty: as the config says, or the default.
struct QuantizerArguments {
  std::string config;
  std::string target;
  std::string mode;                             ///< one of the target's schemes
  std::map<std::string, std::string> settings;  ///< by the names of setting_flags()
  std::vector<std::string> leave_float;
  std::vector<std::string> without_passes;
  bool explain = false;
};

/// How a .tflite and a .pt2 are written.
struct OutputArguments {
  bool plain = false;
  bool nhwc_io = false;
  bool float_io = false;
  bool uint8_io = false;
  bool per_tensor_fc = false;
  int64_t batch = 0;  ///< 0: as the model was exported
  std::string pt2_layout = "current";
};

inline constexpr int64_t kCalibrationSamples = 256;

struct QuantizeArguments {
  ModelArguments model;
  std::string data;
  std::optional<int64_t> samples;     ///< else the config's, else kCalibrationSamples
  std::optional<int64_t> batch_size;  ///< else the config's, else as the files hold them
  MakingArguments making;
  QuantizerArguments quantizer;
  std::optional<bool> qat;  ///< else the config's
  int64_t measured = 1;     ///< samples on which the end looks for ruined values; 0: none
  std::string output;
  std::string report;  ///< page to write; empty: none
  OutputArguments writing;
  std::optional<uint64_t> seed;
  bool json = false;
};
void quantize(const QuantizeArguments& arguments);

struct TrainArguments {
  ModelArguments model;
  std::string data;
  std::string held_out;  ///< other data to measure with; empty: the test part of `data`
  MakingArguments making;
  int64_t samples = 0;
  std::string task = "classification";
  std::string class_weights;  ///< "1,2,0.5", "balanced"; empty: all the same
  bool in_float = false;
  bool qat = false;
  int64_t epochs = 0;
  int64_t batch_size = 64;
  int64_t accumulate = 1;
  double learning_rate = 0.01;
  std::string optimizer = "sgd";
  double momentum = 0.9;
  double weight_decay = 0.0;
  std::string schedule = "cosine";
  int64_t step_epochs = 1;
  double warmup_epochs = 0.0;
  double final_lr = 0.0;  ///< part of learning_rate
  double label_smoothing = 0.0;
  double mixup = 0.0;
  double cutmix = 0.0;
  double clip_norm = 0.0;
  double average = 0.0;
  int64_t patience = 0;
  bool distill = false;
  std::string teacher;  ///< empty: the model itself, in float
  double temperature = 2.0;
  double distill_weight = 0.5;
  int64_t freeze_observers_after = -1;
  int64_t freeze_bn_after = -1;
  int64_t reestimate_bn = 0;  ///< batches
  bool learn_scales = false;
  int64_t warm_start = 0;  ///< samples
  bool fused = true;
  std::string freeze;  ///< layers that are not trained: a share, or names
  bool integer_prefix = true;
  double update_share = 1;  ///< of the channels, that are trained
  std::string update_by = "layer";
  int64_t update_every = 64;  ///< steps
  QuantizerArguments quantizer;
  bool no_augment = false;
  bool no_eval = false;
  std::string device = "cpu";  ///< that it is trained on (octet/train/device.h)
  int64_t nproc = 1;           ///< processes on this machine
  bool sync_bn = false;
  std::string checkpoints;  ///< folder; empty: none
  bool resume = false;
  double save_every = 300;  ///< seconds
  int64_t keep = 3;
  std::string tensorboard;  ///< folder of event files; empty: none
  std::string output;
  std::string report;  ///< page to write; empty: none
  OutputArguments writing;
  std::optional<uint64_t> seed;
  bool json = false;
  /// All of the run as it is, by the names of the flags, "batch_size": "64": what is written beside the model and told
  /// of checkpoints.
  std::vector<std::pair<std::string, std::string>> settings;
  std::set<std::string> at_defaults;  ///< of these, the ones that stand where they do unless somebody says otherwise
};
void train(const TrainArguments& arguments);

struct EvalArguments {
  ModelArguments model;
  DataArguments data;
  std::string task = "classification";
  std::string split = "test";
  bool integer = false;
  std::string device = "cpu";
  bool json = false;
};
void eval(const EvalArguments& arguments);

struct RunArguments {
  ModelArguments model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  bool dequantize = false;
  bool check_overflow = false;
};
void run(const RunArguments& arguments);

struct InspectArguments {
  ModelArguments model;
  bool json = false;
  bool graph = false;
};
void inspect(const InspectArguments& arguments);

struct CompareArguments {
  ModelArguments model;
  std::string quantized;  ///< opened as the model is
  std::vector<std::string> inputs;
  DataArguments data;  ///< in place of inputs: its first `samples`
  std::string split = "test";
  bool json = false;
};
void compare(const CompareArguments& arguments);

struct CheckArguments {
  ModelArguments model;  ///< its input sizes are the ones to try, "224" and "224x160" among them
  QuantizerArguments quantizer;
  bool json = false;
};
void check(const CheckArguments& arguments);

struct ExportArguments {
  ModelArguments model;
  std::vector<std::string> from;  ///< nodes at which the part begins that is exported, and at which it ends
  std::vector<std::string> to;
  bool prefix = false;
  std::string tflite;
  std::string pt2;
  std::string encodings;
  std::string model_explorer;  ///< .json; of placement, and beside it of noise where there is a float model
  std::string float_model;     ///< what noise is measured against; empty: none
  std::vector<std::string> inputs;
  OutputArguments writing;
  bool json = false;
};
void export_model(const ExportArguments& arguments);

struct VerifyArguments {
  ModelArguments model;
  std::string program;
  std::vector<std::string> inputs;
  bool json = false;
};
void verify(const VerifyArguments& arguments);

struct ReportArguments {
  ModelArguments model;     ///< or the folder of a run's checkpoints
  std::string float_model;  ///< what it is compared with; empty: nothing
  DataArguments data;       ///< to measure on; empty: nothing is measured
  std::string task = "classification";
  std::string output;
};
void report_page(const ReportArguments& arguments);

struct ModelsArguments {
  bool json = false;
};
void models(const ModelsArguments& arguments);

struct OperatorsArguments {
  std::string target;
};
void operators(const OperatorsArguments& arguments);

struct TargetsArguments {
  bool json = false;
};
void targets(const TargetsArguments& arguments);

struct DemoArguments {
  bool full = false;
  bool targets = false;    ///< the other targets too, each in its usual modes
  bool all_modes = false;  ///< each of them in all of its modes
  std::string target;
  std::string save;
  std::optional<uint64_t> seed;
  bool json = false;
};
void demo(const DemoArguments& arguments);

/// The settings of a run in a config file ("training"), as TrainArguments::settings. Throws octet::Error naming the
/// file and the key.
std::vector<std::pair<std::string, std::string>> run_settings(const std::string& config);

/// The names of --task.
std::vector<std::string> names_of_tasks();

/// The target where none is named.
std::string default_target();

/// The modes of each target for --help, "imxrt700: int8; ...": targets of the same modes together.
std::string modes_of_targets();

/// A choice that a target offers (targets::Setting) as a flag.
struct SettingFlag {
  std::string name;  ///< "mul_range"
  std::string flag;  ///< "--mul-range"
  std::string help;
};
/// Of all targets, each once.
std::vector<SettingFlag> setting_flags();
/// What an error says, without libtorch's backtrace.
std::string message_of(const std::exception& error);

}  // namespace octet::cli
