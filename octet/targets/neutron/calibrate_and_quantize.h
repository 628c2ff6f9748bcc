#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/quantizer.h"

namespace octet {

/// From a float model to a quantized one in one call. `model` becomes the prepared model on the way: pass a copy to
/// keep it.
///
/// Post-training: prepare, run every sample, convert.
/// Quantization-aware: prepare, `train` where it is given (called on the model in train mode), else every sample in
/// eval mode; convert, and an int32 bias wherever the fold of a BatchNorm left a float one.
///
/// `samples`: each holds one tensor for each input of the model. Throws octet::Error where there is neither a sample
/// nor `train`.
std::shared_ptr<GraphModule> calibrate_and_quantize(std::shared_ptr<GraphModule> model,
                                                    const std::vector<std::vector<at::Tensor>>& samples,
                                                    Quantizer& quantizer, bool is_qat = false,
                                                    const std::function<void(GraphModule&)>& train = nullptr);

}  // namespace octet
