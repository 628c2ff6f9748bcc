#include <ATen/core/grad_mode.h>

#include <chrono>

#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/cli/output.h"
#include "octet/cli/print.h"
#include "octet/cli/verbs.h"
#include "octet/formats/container.h"
#include "octet/graph/record.h"
#include "octet/integer/executor.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/lowering.h"
#include "octet/models/registry.h"
#include "octet/report/numbers.h"
#include "octet/report/training_reports.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/targets.h"
#include "octet/train/demo_recipe.h"
#include "octet/train/integer_handle.h"
#include "octet/train/loader.h"
#include "octet/train/progress.h"
#include "octet/train/qat.h"

namespace octet::cli {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::vector<std::vector<at::Tensor>> calibration(std::shared_ptr<DataSource> data, const Transform& transform,
                                                 const DemoRecipe& recipe) {
  LoaderOptions options;
  options.batch_size = recipe.calibration_batch;
  options.transform = transform;
  std::vector<std::vector<at::Tensor>> samples;
  for (Batch& batch : Loader(first_samples(std::move(data), recipe.calibration_samples), options).epoch(0)) {
    samples.push_back(std::move(batch.inputs));
  }
  return samples;
}

// The schemes after training that are shown: the usual one, or all.
std::vector<std::string> shown_schemes(const targets::Target& target, bool all) {
  std::vector<std::string> names;
  for (const targets::Scheme& scheme : target.schemes) {
    if (scheme.mode == QuantizationMode::kQat) continue;
    if (names.empty() || all) names.push_back(scheme.name);
  }
  return names;
}

}  // namespace

void demo(const DemoArguments& arguments) {
  const Stopwatch whole;
  const std::shared_ptr<const targets::Target> target = all_targets().find(arguments.target, "--target");
  // Before minutes of training: the target has both.
  for (const QuantizationMode mode : {QuantizationMode::kPtq, QuantizationMode::kQat}) {
    targets::TableQuantizer(target, {.mode = mode});
  }
  DemoRecipe recipe = demo_recipe(arguments.full);
  recipe.seed = arguments.seed.value_or(0);
  recipe.float_training.seed = recipe.qat.seed = recipe.seed;
  auto train_data = open_data(recipe.data, Split::kTrain);
  auto test_data = open_data(recipe.data, Split::kTest);

  ModelOptions model_options;
  model_options.in_channels = recipe.in_channels;
  model_options.num_classes = recipe.num_classes;
  auto model = make_model(recipe.model, model_options);
  const std::vector<int64_t> sample = model->sample_shape();
  std::vector<int64_t> example = sample;
  example.insert(example.begin(), 1);
  const Transform plain = standard_transform(*test_data, sample, /*augment=*/false);
  recipe.float_training.transform = recipe.qat.transform =
      recipe.crops ? standard_transform(*train_data, sample, /*augment=*/true) : compose({random_mirror(), plain});
  log::info("octet demo: ", recipe.model, " on ", recipe.data, ", ", train_data->size(), " training and ",
            test_data->size(), " test images");

  model->eval();
  auto graph = export_module(*model, {at::zeros(example)});
  make_batch_flexible(*graph);
  Progress progress("float");
  EvaluateOptions evaluation;
  evaluation.transform = plain;
  evaluation.progress = &progress;
  const auto measure = [&](std::shared_ptr<GraphModule> module) {
    return evaluate(model_handle(module), test_data, evaluation);
  };

  report::DemoReport report{recipe.model, recipe.data, recipe.seed, 0, {}};
  // Models that are lowered are measured in integers, as the device computes, and beside it in float on their grids;
  // others on their grids alone.
  enum class Kind { kFloat, kOnGrids, kInIntegers };
  const auto add = [&](const std::string& name, std::shared_ptr<GraphModule> module, Kind kind, double time) {
    report::DemoReport::Row row{name, measure(module), std::nullopt, model_bytes(*module), time};
    if (kind == Kind::kInIntegers) {
      EvaluateOptions in_integers = evaluation;
      in_integers.channels_last = false;
      row.fake_quantized = std::move(row.found);
      row.found = evaluate(model_handle(std::make_shared<const integer::Executor>(lower(*module, {.batch = 1}))),
                           test_data, in_integers);
    }
    progress.message(octet::str(name, ": top-1 ", report::fixed(row.found.score("top1"), 4)));
    report.rows.push_back(std::move(row));
  };

  const Stopwatch float_time;
  octet::train(model_handle(graph), train_data, recipe.float_training, {}, nullptr, &progress, "float");
  graph->train(false);
  const double float_seconds = float_time.seconds();
  add("float", graph, Kind::kFloat, float_seconds);

  // Quantized as the options say, added as a row. Beside the demo's own target: trained for less, measured on grids.
  const auto quantized = [&](const std::string& name, std::shared_ptr<const targets::Target> chosen,
                             const targets::QuantizerOptions& options, bool beside) {
    const Stopwatch time;
    targets::TableQuantizer quantizer(std::move(chosen), options);
    std::shared_ptr<GraphModule> made;
    if (quantizer.mode() == QuantizationMode::kQat) {
      QatOptions training;
      training.train = recipe.qat;
      if (beside) training.train.samples_per_epoch = recipe.samples_per_epoch_beside;
      training.freeze_observers_after = recipe.freeze_observers_after;
      training.freeze_bn_after = recipe.freeze_bn_after;
      made = train_qat(graph->copy(), quantizer, train_data, training, {}, nullptr, &progress).quantized;
    } else {
      const at::NoGradGuard no_grad;
      made = calibrate_and_quantize(graph->copy(), calibration(train_data, plain, recipe), quantizer);
    }
    // Sums of integers need biases of integers.
    const bool in_integers = !beside && quantizer.rounds_folded_biases();
    add(name, made, in_integers ? Kind::kInIntegers : Kind::kOnGrids, time.seconds());
    return made;
  };
  const auto last_score = [&] { return report.rows.back().found.score("top1"); };

  report::DemoReport::TargetRow own{target->name, shown_schemes(*target, false).front(), 0, std::nullopt, false};
  const auto ptq = quantized("PTQ int8", target, {.mode = QuantizationMode::kPtq}, /*beside=*/false);
  own.ptq = last_score();
  own.in_integers = report.rows.back().fake_quantized.has_value();
  const auto qat = quantized("QAT int8", target, {.mode = QuantizationMode::kQat}, /*beside=*/false);
  own.qat = last_score();
  if (!arguments.save.empty()) {
    save_octet(*graph, arguments.save + "/float.octet");
    save_octet(*ptq, arguments.save + "/ptq.octet");
    save_octet(*qat, arguments.save + "/qat.octet");
    write_tflite(*ptq, arguments.save + "/ptq.tflite", {.form = target->form, .batch = 1});
    write_tflite(*qat, arguments.save + "/qat.tflite", {.form = target->form, .batch = 1});
  }
  if (arguments.targets) {
    report.targets.push_back(own);
    for (const auto& other : all_targets().all()) {
      if (other == target) continue;
      for (const std::string& scheme : shown_schemes(*other, arguments.all_modes)) {
        report::DemoReport::TargetRow row{other->name, scheme, 0, std::nullopt, false};
        const auto score_of = [&](const std::string& name) {
          quantized(octet::str(other->name, ' ', name), other, {.scheme = name}, /*beside=*/true);
          return last_score();
        };
        row.ptq = score_of(scheme);
        if (const auto trained = other->scheme_in_training(scheme)) row.qat = score_of(trained->name);
        report.targets.push_back(std::move(row));
      }
    }
  }
  report.seconds = whole.seconds();
  print(report, arguments.json);
}

}  // namespace octet::cli
