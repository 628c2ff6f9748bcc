#include "octet/quantize/compare.h"

#include "octet/cli/common.h"
#include "octet/cli/print.h"
#include "octet/cli/verbs.h"
#include "octet/report/deviation_reports.h"

namespace octet::cli {

void compare(const CompareArguments& arguments) {
  auto float_model = open_model(arguments.model);
  auto quantized = open_model(arguments.model.with_path(arguments.quantized));
  const std::vector<at::Tensor> inputs = read_npy_files(arguments.inputs);
  float_model->train(false);
  quantized->train(false);
  print(report::ComparisonReport{compare_models(*float_model, *quantized, inputs)}, arguments.json);
}

}  // namespace octet::cli
