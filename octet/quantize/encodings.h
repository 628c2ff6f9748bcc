#pragma once

#include <nlohmann/json_fwd.hpp>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// The grids of a converted program as data: what docs/encodings.md describes. An entry a quantized value: activations
/// by the node that gives them, weights and biases by node and argument ("conv2d.weight"), each once, in graph order.
/// Throws octet::Error for a program without quantize nodes.
OCTET_API nlohmann::ordered_json encodings(const GraphModule& converted);

}  // namespace octet
