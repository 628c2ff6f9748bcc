#pragma once

#include <optional>

#include "octet/graph/node.h"
#include "octet/support/api.h"

namespace octet {

/// Clipping bounds of an activation; an absent bound is infinite.
struct ActivationBounds {
  std::optional<double> low;
  std::optional<double> high;
  bool operator==(const ActivationBounds&) const = default;
};

/// Bounds of a clamp, hardtanh, relu or relu6 node; infinite and missing ones absent. nullopt for other ops and for
/// bounds that are no constants.
OCTET_API std::optional<ActivationBounds> clipping_bounds(const Node& node);

}  // namespace octet
