#pragma once

#include <string>

#include "octet/report/page.h"

namespace octet::report {

/// The network from top to bottom: a row an operator with where it runs and why, and beside them each value as a line
/// from the operator that makes it to the last that reads it. A list for a screen reader, on which the lines are mute.
std::string network_drawing(const targets::Placement& placement, const Edges& edges);

}  // namespace octet::report
