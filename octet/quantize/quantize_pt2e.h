#pragma once

#include <memory>
#include <vector>

#include "octet/quantize/quantizer.h"
#include "octet/support/api.h"

namespace octet {

/// prepare_pt2e or prepare_qat_pt2e, as the quantizer's mode says. Throws octet::Error where it says none.
OCTET_API std::shared_ptr<GraphModule> prepare(std::shared_ptr<GraphModule> model, Quantizer& quantizer);

/// Inserts observers for post-training quantization. Changes `model` and returns it. Order of the reference: fuse
/// conv-bn and linear-bn, transform, annotate, validate, insert. A model in train mode is switched to eval first, with
/// a line in the log: dropout and moving statistics have no place in calibration. Throws octet::Error for a quantizer
/// of the other mode.
OCTET_API std::shared_ptr<GraphModule> prepare_pt2e(std::shared_ptr<GraphModule> model, Quantizer& quantizer);

/// Inserts fake quantizers for quantization-aware training, conv-bn pairs as one simulated module (qat_conv_bn.h).
/// Throws octet::Error for a quantizer of the other mode.
OCTET_API std::shared_ptr<GraphModule> prepare_qat_pt2e(std::shared_ptr<GraphModule> model, Quantizer& quantizer);

/// BatchNorm and dropout nodes that work in train mode. BatchNorm without running statistics, which knows no other, is
/// none of them.
OCTET_API std::vector<const Node*> nodes_in_train_mode(const GraphModule& model);

OCTET_API std::shared_ptr<GraphModule> move_exported_model_to_train(std::shared_ptr<GraphModule> model);
OCTET_API std::shared_ptr<GraphModule> move_exported_model_to_eval(std::shared_ptr<GraphModule> model);

struct ConvertOptions {
  bool fold_quantize = true;  ///< weights become int8 constants
};
/// Observers become quantize/dequantize pairs, simulated conv-bn one convolution with an exact fold, weights int8
/// constants. Weight scales are enlarged where a bias and the worst sum would leave int32 (accumulator.h). Gives a new
/// model, in eval mode; `prepared` stays as it is. Throws octet::Error for a product whose sum may leave int32 all the
/// same.
OCTET_API std::shared_ptr<GraphModule> convert_pt2e(std::shared_ptr<GraphModule> prepared,
                                                    const ConvertOptions& options = {});

/// The one end of calibration and of training: `prepared` goes to eval mode, is converted, and the quantizer that
/// prepared it makes its last changes (Quantizer::transform_converted).
OCTET_API std::shared_ptr<GraphModule> finish(std::shared_ptr<GraphModule> prepared, Quantizer& quantizer);

}  // namespace octet
