#include "octet/targets/neutron/calibrate_and_quantize.h"

#include <ATen/core/grad_mode.h>

#include "octet/quantize/bias_pass.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"

namespace octet {
namespace {

void calibrate(GraphModule& model, const std::vector<std::vector<at::Tensor>>& samples) {
  const at::NoGradGuard no_grad;
  for (const std::vector<at::Tensor>& sample : samples) model.run(sample);
}

}  // namespace

std::shared_ptr<GraphModule> calibrate_and_quantize(std::shared_ptr<GraphModule> model,
                                                    const std::vector<std::vector<at::Tensor>>& samples,
                                                    Quantizer& quantizer, bool is_qat,
                                                    const std::function<void(GraphModule&)>& train) {
  const bool trains = is_qat && train != nullptr;
  if (samples.empty() && !trains) throw expected("calibrate_and_quantize", "samples", "at least one", "none");
  if (!is_qat) {
    auto prepared = prepare_pt2e(std::move(model), quantizer);
    calibrate(*prepared, samples);
    return convert_pt2e(std::move(prepared));
  }
  auto prepared = prepare_qat_pt2e(std::move(model), quantizer);
  if (trains) {
    move_exported_model_to_train(prepared);
    train(*prepared);
    move_exported_model_to_eval(prepared);
  } else {
    move_exported_model_to_eval(prepared);
    calibrate(*prepared, samples);
  }
  auto converted = convert_pt2e(std::move(prepared));
  QuantizeFusedConvBnBiasAtenPass(/*default_zero_bias=*/false, /*symmetric_quant=*/true)(*converted);
  return converted;
}

}  // namespace octet
