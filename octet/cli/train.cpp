#include <ATen/core/grad_mode.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/cli/launch.h"
#include "octet/cli/named_model.h"
#include "octet/cli/output.h"
#include "octet/cli/page_of.h"
#include "octet/cli/print.h"
#include "octet/cli/quantizer.h"
#include "octet/cli/run_keeper.h"
#include "octet/cli/verbs.h"
#include "octet/graph/fused_steps.h"
#include "octet/lowering/batch.h"
#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/qdq.h"
#include "octet/report/training_reports.h"
#include "octet/support/atomic_write.h"
#include "octet/support/error.h"
#include "octet/support/json_text.h"
#include "octet/support/log.h"
#include "octet/support/memory_limit.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/targets.h"
#include "octet/train/device.h"
#include "octet/train/distill.h"
#include "octet/train/event_log.h"
#include "octet/train/group.h"
#include "octet/train/progress.h"
#include "octet/train/qat.h"
#include "octet/train/tasks.h"

namespace octet::cli {
namespace {

// Settings that change no weight of the run, but for the order of a device's sums: a run goes on whatever they are.
const std::set<std::string> kOfNoWeight = {
    "report",  "output",   "checkpoints", "keep",  "save_every",    "workers",    "plain",       "batch",
    "nhwc_io", "float_io", "uint8_io",    "model", "per_tensor_fc", "pt2_layout", "tensorboard", "device"};

constexpr int64_t kReported = 8;  // samples that a report looks at noise and ranges on

RunFacts facts_of_weights(const TrainArguments& arguments) {
  RunFacts facts = arguments.settings;
  std::erase_if(facts, [](const auto& fact) { return kOfNoWeight.contains(fact.first); });
  return facts;
}

// What quantize decides by samples stays exact in training, which would not see its cost.
targets::QuantizerConfig resolve_exact(const QuantizerArguments& arguments) {
  targets::QuantizerConfig config = resolve(arguments, QuantizationMode::kQat);
  config.options = settled(std::move(config.options), *all_targets().find(config.options.target));
  return config;
}

// The facts that a checkpoint may lack: flags, and settings of the quantizer, that an earlier version did not have.
std::set<std::string> usual_facts(const TrainArguments& arguments, const targets::QuantizerConfig& config) {
  std::set<std::string> usual = arguments.at_defaults;
  if (!arguments.qat) return usual;
  QuantizerArguments plain;
  plain.target = config.options.target;
  plain.mode = config.options.scheme;
  const nlohmann::ordered_json usually = to_json(resolve_exact(plain)), now = to_json(config);
  for (const auto& [name, value] : now.items()) {
    if (usually.contains(name) && usually.at(name) == value) usual.insert("quantizer." + name);
  }
  return usual;
}

bool any_given(const QuantizerArguments& quantizer) {
  const bool any_setting = std::any_of(quantizer.settings.begin(), quantizer.settings.end(),
                                       [](const auto& setting) { return !setting.second.empty(); });
  return quantizer.explain || !quantizer.target.empty() || !quantizer.mode.empty() || any_setting ||
         !quantizer.leave_float.empty() || !quantizer.without_passes.empty();
}

void check_arguments(const TrainArguments& arguments) {
  if (arguments.in_float == arguments.qat)
    throw Error("", "train: give one of --float and --qat", ErrorCategory::kUsage);
  if (arguments.resume && arguments.checkpoints.empty()) {
    throw Error("", "train: --resume requires --checkpoints", ErrorCategory::kUsage);
  }
  if (arguments.in_float && any_given(arguments.quantizer)) {
    std::string flags = "--target, --mode, ";
    for (const SettingFlag& setting : setting_flags()) flags += setting.flag + ", ";
    throw Error("", "train: " + flags + "--leave-float, --without-pass and --explain are for --qat",
                ErrorCategory::kUsage);
  }
  const auto for_qat = [&](bool given, const char* flag) {
    if (given && !arguments.qat) throw Error("", str("train: ", flag, " is for --qat"), ErrorCategory::kUsage);
  };
  if ((arguments.mixup > 0 || arguments.cutmix > 0) && arguments.task != "classification") {
    throw Error("", "train: --mixup and --cutmix are for --task classification", ErrorCategory::kUsage);
  }
  const auto belongs_to = [](bool given, const char* flag, bool other_given, const char* other) {
    if (given && !other_given) throw Error("", str("train: ", flag, " is for ", other), ErrorCategory::kUsage);
  };
  belongs_to(!arguments.teacher.empty(), "--teacher", arguments.distill, "--distill");
  belongs_to(!arguments.making.fill.empty(), "--fill", !arguments.making.rand_augment.empty(), "--randaugment");
  if (arguments.batch_size % arguments.nproc != 0) {
    throw expected("train", "--batch-size", str("a multiple of --nproc ", arguments.nproc), str(arguments.batch_size))
        .as(ErrorCategory::kUsage);
  }
  for_qat(arguments.freeze_observers_after >= 0, "--freeze-observers-after");
  for_qat(arguments.freeze_bn_after >= 0, "--freeze-bn-after");
  for_qat(arguments.update_share != 1, "--update-share");
  for_qat(arguments.learn_scales, "--learn-scales");
  for_qat(arguments.warm_start > 0, "--warm-start");
  for_qat(arguments.distill && arguments.teacher.empty(), "--distill without --teacher");
  device_named(arguments.device);
  check_making(arguments.data, arguments.making);
  check_outputs({arguments.output, arguments.report}, {arguments.model.path, arguments.teacher});
}

// "1,2,0.5", or what "balanced" makes of the data.
at::Tensor class_weights(const std::string& text, const DataSource& data) {
  if (text.empty()) return {};
  if (text == "balanced") return balanced_class_weights(data);
  std::vector<float> weights;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    char* end = nullptr;
    weights.push_back(std::strtof(part.c_str(), &end));
    if (part.empty() || *end != '\0' || !(weights.back() >= 0) || !std::isfinite(weights.back())) {
      throw Error("--class-weights", str("expected 'balanced' or numbers of 0 or more, got '", text, "'"),
                  ErrorCategory::kUsage);
    }
  }
  return at::tensor(weights);
}

// What the run is trained for, its teacher with it. `model`: as it was opened.
Task task_of(const TrainArguments& arguments, const GraphModule& model, const DataSource& data, at::Device device) {
  const Task task = task_named(arguments.task, {.label_smoothing = arguments.label_smoothing,
                                                .class_weights = class_weights(arguments.class_weights, data)});
  if (!arguments.distill) return task;
  std::shared_ptr<GraphModule> teacher;
  if (arguments.teacher.empty()) {
    teacher = model.copy();
  } else {
    teacher = open_model(arguments.model.with_path(arguments.teacher));
    make_batch_flexible(*teacher);
  }
  const bool has_labels = task.targets.empty() || data.has_targets();
  ModelHandle handle = model_handle(teacher);
  handle.forward = [place = std::make_shared<OnDevice>(teacher, device),
                    forward = handle.forward](const std::vector<at::Tensor>& inputs) { return forward(inputs); };
  return distilled(task, handle, {.temperature = arguments.temperature, .weight = arguments.distill_weight},
                   has_labels);
}

QatOptions qat_options(const TrainArguments& arguments) {
  QatOptions options;
  options.freeze_observers_after = arguments.freeze_observers_after;
  options.freeze_bn_after = arguments.freeze_bn_after;
  options.freeze = arguments.freeze;
  options.integer_prefix = arguments.integer_prefix;
  options.update = {arguments.update_share, update_scope(arguments.update_by), arguments.update_every};
  TrainOptions& training = options.train;
  options.learn_scales = arguments.learn_scales;
  options.calibrated_samples = arguments.warm_start;
  training.epochs = arguments.epochs;
  training.batch_size = arguments.batch_size;
  training.accumulate = arguments.accumulate;
  training.clip_norm = arguments.clip_norm;
  training.average = arguments.average;
  training.patience = arguments.patience;
  training.reestimate_batches = arguments.reestimate_bn;
  training.final_fraction = arguments.final_lr;
  training.learning_rate = arguments.learning_rate;
  training.optimizer.kind = optimizer_kind(arguments.optimizer);
  training.optimizer.momentum = arguments.momentum;
  training.optimizer.weight_decay = arguments.weight_decay;
  training.schedule = schedule_kind(arguments.schedule);
  training.step_epochs = arguments.step_epochs;
  training.warmup_epochs = arguments.warmup_epochs;
  training.seed = arguments.seed.value_or(0);
  return options;
}

// What the page of a run tells besides the run itself: found before the model is trained.
class RunPage {
 public:
  RunPage(const TrainArguments& arguments, const GraphModule& model) : arguments_(arguments), before_(model.copy()) {}

  // The model as it comes, and what quantizing it after training gives.
  void measure_before(const PageData& on, const ModelData& drawn) {
    page_.measured_on = arguments_.held_out.empty() ? arguments_.data : arguments_.held_out;
    measure(page_, arguments_.qat ? "float, before" : "before", before_, on);
    if (!arguments_.qat) return;
    try {
      QuantizerArguments choice = arguments_.quantizer;
      choice.mode.clear();
      targets::TableQuantizer quantizer = make_quantizer(resolve(choice, QuantizationMode::kPtq).options);
      const at::NoGradGuard no_grad;
      const auto quantized = calibrate_and_quantize(before_->copy(), {first_batch(drawn, kCalibrated)}, quantizer);
      measure(page_, "PTQ of it", quantized, on);
    } catch (const Error& error) {
      log::warn("report: the model before training was not quantized: ", error.what());
    }
  }

  // The same as the quantizer's passes leave it.
  std::shared_ptr<GraphModule> rewritten(const targets::TableQuantizer& quantizer) const {
    return quantizer.explain(*before_).model;
  }

  report::Page& page() { return page_; }

 private:
  static constexpr int64_t kCalibrated = 256;
  const TrainArguments& arguments_;
  std::shared_ptr<GraphModule> before_;
  report::Page page_;
};

// The names of the labels, beside the model.
void write_classes(const DataSource& data, const std::string& output) {
  const std::vector<std::string> names = data.class_names();
  if (!names.empty()) atomic_write(output + ".classes.json", json_text(nlohmann::json(names), 2) + "\n");
}

}  // namespace

std::vector<std::string> names_of_tasks() { return task_names(); }

void train(const TrainArguments& arguments) {
  check_arguments(arguments);
  const std::optional<GroupAddress> address = group_address();
  if (arguments.nproc > 1 && !address) {
    GroupAddress last;
    last.local_rank = arguments.nproc - 1;
    ready_device(arguments.device, last);
    return run_together(arguments.nproc, arguments.checkpoints);
  }
  const at::Device device = ready_device(arguments.device, address);
  const std::shared_ptr<Group> group = address ? join_group(*address, kWaitForOthers, device) : nullptr;
  const bool is_first = !group || group->rank() == 0;
  if (!is_first) log::set_level(log::Level::kQuiet);
  targets::QuantizerConfig config;
  if (arguments.qat) config = resolve_exact(arguments.quantizer);
  QatOptions options = qat_options(arguments);
  TrainOptions& training = options.train;
  options.device = device;
  training.group = group;
  training.sync_batch_norm = arguments.sync_bn;

  DataArguments test{arguments.data, arguments.samples, arguments.batch_size, false, arguments.making};
  DataArguments drawn = test;
  ModelArguments opened = arguments.model;
  settle_by_data(opened, drawn, Split::kTrain);
  auto model = open_model(opened);
  if (is_quantized(*model)) {
    throw Error(arguments.model.path, "is quantized already").hint("train the float model with --qat");
  }
  if (!arguments.held_out.empty()) test.spec = arguments.held_out;
  drawn.augment = !arguments.no_augment;
  const ModelData data = open_data_for(*model, drawn, Split::kTrain, training.batch_size);
  training.task = task_of(arguments, *model, *data.source, device);
  training.transform = data.transform;
  training.workers = data.workers;
  training.mix = {.mixup = arguments.mixup, .cutmix = arguments.cutmix, .channels_last = data.is_nhwc};
  ModelData held_out;
  if (!arguments.no_eval) {
    held_out = open_data_for(*model, test, Split::kTest, 250);
    training.eval_transform = held_out.transform;
  }
  std::optional<RunKeeper> keeper;
  if (!arguments.checkpoints.empty()) {
    RunFacts facts = facts_of_weights(arguments);
    facts.emplace_back("content of the data", fingerprint(*data.source));
    if (arguments.qat) facts.emplace_back("quantizer", json_text(to_json(config)));
    keeper.emplace(CheckpointOptions{arguments.checkpoints, arguments.keep, arguments.save_every}, std::move(facts),
                   usual_facts(arguments, config), arguments.resume, group);
  }
  TrainHooks hooks = keeper ? keeper->hooks() : TrainHooks();
  std::optional<EventLog> events;
  if (!arguments.tensorboard.empty() && is_first) {
    events.emplace(arguments.tensorboard);
    hooks = events->hooks(std::move(hooks));
  }
  std::optional<RunPage> about;
  if (!arguments.report.empty() && is_first) {
    about.emplace(arguments, *model);
    if (held_out.source) about->measure_before({held_out, training.task}, data);
  }
  Progress progress(arguments.qat ? "qat" : "float", is_first ? Progress::Mode::kAuto : Progress::Mode::kQuiet);
  std::shared_ptr<GraphModule> trained;
  TrainResult result;
  set_fuses_steps(arguments.fused);
  if (arguments.qat) {
    targets::TableQuantizer quantizer = make_quantizer(config.options);
    if (arguments.quantizer.explain) {
      print(quantizer.explain(*model), quantizer, arguments.json ? std::cerr : std::cout);
    }
    const std::shared_ptr<GraphModule> prepared = model;
    QatResult qat = train_qat(prepared, quantizer, data.source, options, hooks, held_out.source, &progress);
    trained = qat.quantized;
    result = std::move(qat.training);
    if (about) {
      report::Page& page = about->page();
      if (held_out.source) {
        const PageData on{held_out, training.task};
        measure(page, "QAT", trained, on);
        measure_in_integers(page, "QAT", *trained, on);
        const auto before = about->rewritten(quantizer);
        add_noise(page, *before, *trained, first_batch(held_out, kReported), quantizer.target());
      }
      add_placement(page, *trained, quantizer);
    }
  } else {
    FrozenLayers frozen;
    if (!arguments.freeze.empty()) frozen = freeze_layers(*model, arguments.freeze);
    OnDevice away(model, device);
    result = octet::train(model_handle(model), data.source, training, hooks, held_out.source, &progress, "float");
    away.back();
    unfreeze_layers(*model, frozen);
    model->train(false);
    trained = std::move(model);
  }
  if (!is_first) return;
  config.calibration.reset();
  config.training = arguments.settings;
  const auto peak = static_cast<int64_t>(peak_memory());
  write_model(*trained, arguments.output, arguments.writing,
              arguments.qat ? json_text(to_json(config)) : std::string());
  if (arguments.qat) {
    write_config(config, arguments.output);
  } else {
    write_run_settings(config.training, arguments.output);
  }
  report::TrainingReport report{arguments.output, arguments.qat, std::move(result), std::nullopt, peak};
  if (!arguments.no_eval) {
    EvaluateOptions evaluation;
    evaluation.task = training.task;
    evaluation.batch_size = evaluation_batch(training.batch_size);
    evaluation.transform = held_out.transform;
    evaluation.progress = &progress;
    evaluation.workers = held_out.workers;
    const OnDevice away(trained, device);
    report.evaluation = evaluate(model_handle(trained), held_out.source, evaluation);
  }
  report.left_out = static_cast<int64_t>(data.source->left_out().size());
  if (held_out.source) report.left_out += static_cast<int64_t>(held_out.source->left_out().size());
  write_classes(*data.source, arguments.output);
  if (about) {
    report::Page& page = about->page();
    page.title = std::filesystem::path(arguments.output).filename().string();
    page.what =
        arguments.qat ? octet::str("trained quantization-aware for ", config.options.target) : "trained in float";
    if (!arguments.qat && report.evaluation) page.measured.push_back({"trained", "float", *report.evaluation});
    page.training = report.training;
    page.config = config_beside(arguments.output);
    page.facts.emplace_back("model", arguments.model.path);
    page.facts.emplace_back("data", fingerprint(*data.source));
    add_versions(page, training.seed);
    write_page(page, arguments.report);
  }
  print(report, arguments.json);
}

}  // namespace octet::cli
