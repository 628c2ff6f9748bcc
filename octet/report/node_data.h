#pragma once

#include <nlohmann/json_fwd.hpp>

#include "octet/quantize/compare.h"
#include "octet/support/api.h"
#include "octet/targets/engine/placement/placement.h"

namespace octet::report {

/// What Google's Model Explorer lays over a network ("custom node data", model_explorer/node_data_builder.py of
/// ai-edge-model-explorer): a value and a colour a node, by the names that octet gives the nodes of a `.pt2` and the
/// results of the operators of a `.tflite`; for the graph of either.
///
/// In dB; equal values have kEqualDb.
OCTET_API nlohmann::ordered_json noise_node_data(const Comparison& comparison);
inline constexpr double kEqualDb = 120;

/// "NPU" or "CPU"; of a target that places nothing "quantized" or "float".
OCTET_API nlohmann::ordered_json placement_node_data(const targets::Placement& placement);

}  // namespace octet::report
