#include "octet/lowering/verify.h"

#include "octet/cli/common.h"
#include "octet/cli/print.h"
#include "octet/cli/verbs.h"
#include "octet/quantize/qdq.h"
#include "octet/report/deviation_reports.h"
#include "octet/support/error.h"

namespace octet::cli {

void verify(const VerifyArguments& arguments) {
  const auto model = open_model(arguments.model);
  if (!is_quantized(*model))
    throw Error(arguments.model.path, "is not quantized").hint("give the model that was exported");
  const tflite::Model program = tflite::read(arguments.program);
  const std::vector<at::Tensor> inputs = read_npy_files(arguments.inputs);
  print(report::VerificationReport{octet::verify(*model, program, inputs)}, arguments.json);
}

}  // namespace octet::cli
