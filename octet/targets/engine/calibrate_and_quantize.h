#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/quantizer.h"
#include "octet/support/api.h"

namespace octet {

/// From a float model to a quantized one in one call: prepare, calibrate or train, finish. `model` becomes the prepared
/// model on the way: pass a copy to keep it. The quantizer's mode says which:
///
/// Post-training: calibrate() on the samples.
/// Quantization-aware: `train` where it is given (called on the model in train mode), else calibrate() in eval mode.
///
/// `samples`: each holds one tensor for each input of the model; none where no grid asks for data
/// (needs_calibration()). Throws octet::Error where there is neither a sample nor a use for `train` and one does, and
/// where the quantizer names no mode.
OCTET_API std::shared_ptr<GraphModule> calibrate_and_quantize(std::shared_ptr<GraphModule> model,
                                                              const std::vector<std::vector<at::Tensor>>& samples,
                                                              Quantizer& quantizer,
                                                              const std::function<void(GraphModule&)>& train = nullptr);

}  // namespace octet
