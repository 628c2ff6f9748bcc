#pragma once

#include "octet/quantize/rows.h"

/// Reading quantize and dequantize nodes of a converted program.
namespace octet {

/// quantized_decomposed.quantize_per_tensor, per_channel, ... in any overload.
bool is_quantize_op(const Node& node);
bool is_dequantize_op(const Node& node);
/// A call that is neither.
bool is_operator(const Node& node);
/// True where the program holds quantize or dequantize nodes.
bool is_quantized(const GraphModule& module);
/// The scale, zero point and range of a quantize or dequantize node. Scales that the program computes are absent.
QuantRecord grid_at(const GraphModule& module, const Node& node);

}  // namespace octet
