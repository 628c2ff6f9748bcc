#include "octet/targets/engine/calibrate_and_quantize.h"

#include "octet/quantize/calibrate.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"

namespace octet {

std::shared_ptr<GraphModule> calibrate_and_quantize(std::shared_ptr<GraphModule> model,
                                                    const std::vector<std::vector<at::Tensor>>& samples,
                                                    Quantizer& quantizer,
                                                    const std::function<void(GraphModule&)>& train) {
  const bool is_qat = quantizer.mode() == QuantizationMode::kQat;
  const bool trains = is_qat && train != nullptr;
  auto prepared = prepare(std::move(model), quantizer);
  if (samples.empty() && !trains && needs_calibration(*prepared)) {
    throw expected("calibrate_and_quantize", "samples", "at least one", "none");
  }
  if (trains) {
    move_exported_model_to_train(prepared);
    train(*prepared);
  } else {
    if (is_qat) move_exported_model_to_eval(prepared);
    calibrate(*prepared, samples);
  }
  return finish(std::move(prepared), quantizer);
}

}  // namespace octet
