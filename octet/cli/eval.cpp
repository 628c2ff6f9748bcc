#include <algorithm>

#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/cli/print.h"
#include "octet/cli/verbs.h"
#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/quantize/qdq.h"
#include "octet/report/training_reports.h"
#include "octet/support/error.h"
#include "octet/train/device.h"
#include "octet/train/integer_handle.h"
#include "octet/train/progress.h"
#include "octet/train/tasks.h"

namespace octet::cli {
namespace {

// What is measured, and on which data.
struct Subject {
  ModelHandle model;
  ModelData data;
  std::string arithmetic;
  std::shared_ptr<OnDevice> place = {};  // of a model that is not on the CPU
};

Subject open_subject(const EvalArguments& arguments) {
  const Split split = arguments.split == "train" ? Split::kTrain : Split::kTest;
  const at::Device device = ready_device(arguments.device);
  if (!device.is_cpu() && (arguments.integer || is_program(arguments.model))) {
    throw Error("eval", "--integer and .tflite run in integers, on the CPU alone", ErrorCategory::kUsage)
        .hint("leave --device out");
  }
  if (is_program(arguments.model)) {
    auto executor = std::make_shared<const integer::Executor>(tflite::read(arguments.model.path));
    ModelData data = open_data_for(executor->model(), arguments.data, split, 250);
    const auto& tensors = executor->model().tensors;
    const bool has_levels = std::any_of(tensors.begin(), tensors.end(), [](const tflite::Tensor& tensor) {
      return !tensor.is_constant && !tensor.quantization.scale.empty();
    });
    return {model_handle(std::move(executor)), std::move(data), has_levels ? "integers" : "float"};
  }
  auto model = open_model(arguments.model);
  ModelData data = open_data_for(*model, arguments.data, split, 250);
  if (!arguments.integer) {
    auto place = std::make_shared<OnDevice>(model, device);
    return {model_handle(std::move(model)), std::move(data), "float", std::move(place)};
  }
  if (!is_quantized(*model)) throw Error(arguments.model.path, "is not quantized").hint("leave --integer out");
  return {model_handle(std::make_shared<const integer::Executor>(lower(*model, {.batch = 1}))), std::move(data),
          "integers"};
}

}  // namespace

void eval(const EvalArguments& arguments) {
  check_making(arguments.data.spec, arguments.data.making);
  const auto [model, data, arithmetic, place] = open_subject(arguments);
  Progress progress("eval");
  EvaluateOptions evaluation;
  evaluation.task = task_named(arguments.task);
  evaluation.batch_size = data.batch_size;
  evaluation.channels_last = arithmetic == "float";
  evaluation.transform = data.transform;
  evaluation.progress = &progress;
  evaluation.workers = data.workers;
  report::EvaluationReport report{arguments.model.path, arithmetic, arguments.data.spec,
                                  evaluate(model, data.source, evaluation)};
  report.left_out = static_cast<int64_t>(data.source->left_out().size());
  print(report, arguments.json);
}

}  // namespace octet::cli
