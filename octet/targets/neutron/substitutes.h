#pragma once

#include <string>

#include "octet/graph/node.h"

namespace octet::neutron {

/// For an operator that no rule knows: what an engineer could use in its place; empty where nothing is near.
std::string substitute_for(std::string_view short_name);

}  // namespace octet::neutron
