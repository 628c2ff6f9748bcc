#pragma once

#include "octet/quantize/rows.h"
#include "octet/support/api.h"

/// Reading quantize and dequantize nodes of a converted program.
namespace octet {

/// A call that neither quantizes nor dequantizes.
OCTET_API bool is_operator(const Node& node);
/// True where the program holds quantize or dequantize nodes.
OCTET_API bool is_quantized(const GraphModule& module);
/// The call that finds scale and zero point of a quantize or dequantize node in each run; nullptr where they are known.
OCTET_API const Node* chooser_of(const Node& node);
/// The scale, zero point and range of a quantize or dequantize node. Scales that the program computes are absent; the
/// record says what does.
OCTET_API QuantRecord grid_at(const GraphModule& module, const Node& node);

}  // namespace octet
