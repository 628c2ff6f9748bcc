#pragma once

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// A float bias on the accumulator's grid `scale` (one, or one a channel), zero point 0: int32 in least .. 2^31 - 1.
OCTET_API at::Tensor bias_levels(const at::Tensor& bias, const at::Tensor& scale, int64_t least);

/// Quantizes biases that a conv-bn fold left float in a converted model: int32 with input scale * weight scale, behind
/// a dequantize per channel or per tensor as the weight is. Knows conv2d, conv_transpose2d and convolution whose input
/// (an unsqueeze looked through) is dequantized per tensor; all others stay as they are. Models that octet's own
/// convert wrote have no float bias and pass unchanged; this is for those of the reference.
class OCTET_API QuantizeFusedConvBnBiasAtenPass {
 public:
  /// `default_zero_bias`: convolutions without a bias get one of zeros. `symmetric_quant`: quant_min is -(2^31) + 1.
  explicit QuantizeFusedConvBnBiasAtenPass(bool default_zero_bias = false, bool symmetric_quant = false)
      : default_zero_bias_(default_zero_bias), symmetric_quant_(symmetric_quant) {}

  /// Changes `module`. Returns how many biases were quantized.
  size_t operator()(GraphModule& module) const;

 private:
  bool quantize_bias(GraphModule& module, Node* conv) const;

  bool default_zero_bias_;
  bool symmetric_quant_;
};

}  // namespace octet
