#pragma once

#include <functional>
#include <memory>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"
#include "octet/targets/intx/config.h"

namespace octet {

/// torchao's filter where none is given: linears.
OCTET_API bool is_linear(const Node& node);

/// torchao's quantize_: the weights of the operators that `filter` takes become int8 levels and a dequantize in blocks,
/// and what stands before a linear is quantized a token each, as the config says. No data is needed.
///
///     auto quantized = quantize_(model, IntxWeightOnlyConfig{at::ScalarType::Int4, PerGroup{32}});
///
/// BatchNorms stay as they are. What the config cannot serve stays in float, and the log says so: a weight whose input
/// features the group does not divide (torchao refuses the whole model). `model` must not be used any more: give a copy
/// to keep it. Throws octet::Error for a config that intx::choice_of() refuses, and for a model that is quantized
/// already.
OCTET_API std::shared_ptr<GraphModule> quantize_(std::shared_ptr<GraphModule> model, const IntxConfig& config,
                                                 const std::function<bool(const Node&)>& filter = is_linear);

}  // namespace octet
