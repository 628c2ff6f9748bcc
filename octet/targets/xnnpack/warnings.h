#pragma once

#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"
#include "octet/targets/engine/placement/warning.h"

namespace octet::xnnpack {

/// Where ExecuTorch 1.5.1's XNNPACK backend takes a quantized program and computes wrong without a word: a linear of
/// which the weight alone is quantized, by torchao's dequantize_affine; convolutions of different kernel size that read
/// one dynamic grid; a softmax over the width behind a convolution, whose values lie channels last.
OCTET_API std::vector<targets::Warning> runtime_warnings(const GraphModule& quantized);

}  // namespace octet::xnnpack
