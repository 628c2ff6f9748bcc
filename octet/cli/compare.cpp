#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/cli/given_inputs.h"
#include "octet/cli/print.h"
#include "octet/cli/verbs.h"
#include "octet/lowering/batch.h"
#include "octet/report/deviation_reports.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

constexpr int64_t kCompared = 8;

// Samples as both models take them: the batch is made free in both.
std::vector<at::Tensor> drawn(const CompareArguments& arguments, GraphModule& float_model, GraphModule& quantized) {
  const Split split = arguments.split == "train" ? Split::kTrain : Split::kTest;
  const ModelData data = open_data_for(float_model, arguments.data, split, 1);
  if (!data.source->gives_sets()) {
    make_batch_flexible(float_model);
    make_batch_flexible(quantized);
  }
  return first_batch(data, arguments.data.samples > 0 ? arguments.data.samples : kCompared);
}

}  // namespace

void compare(const CompareArguments& arguments) {
  if (arguments.inputs.empty() == arguments.data.spec.empty()) {
    throw Error("", "compare: give one of --input and --data", ErrorCategory::kUsage);
  }
  check_making(arguments.data.spec, arguments.data.making);
  auto float_model = open_model(arguments.model);
  auto quantized = open_model(arguments.model.with_path(arguments.quantized));
  const std::vector<at::Tensor> inputs =
      arguments.inputs.empty() ? drawn(arguments, *float_model, *quantized) : read_npy_files(arguments.inputs);
  float_model->train(false);
  quantized->train(false);
  const auto both = [&] { return compare_models(*float_model, *quantized, inputs); };
  const auto comparison = on_inputs(arguments.model.path, *float_model, inputs,
                                    [&] { return on_inputs(arguments.quantized, *quantized, inputs, both); });
  print(report::ComparisonReport{comparison}, arguments.json);
}

}  // namespace octet::cli
