#pragma once

#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/targets/engine/placement/warning.h"

namespace octet::neutron {

/// For an operator that no rule knows: what an engineer could use in its place; empty where nothing is near.
std::string substitute_for(std::string_view short_name);

/// Of layers along a sequence that stay on the CPU in float, which no other warning of a quantized model would name.
std::vector<targets::Warning> recurrent_warnings(const GraphModule& quantized);

}  // namespace octet::neutron
