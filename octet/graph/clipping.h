#pragma once

#include <optional>

#include "octet/graph/node.h"

namespace octet {

/// What an activation that clips does to a value and to its gradient.
struct Clipping {
  double low;              ///< -infinity: none
  double high;             ///< +infinity: none
  bool ends_pass = false;  ///< the gradient passes at the bounds themselves: clamp; not so for relu and hardtanh
};

/// Of a relu, relu6, hardtanh or clamp node, also in place; nullopt for other ops and for bounds that are no constants.
std::optional<Clipping> clipping_of(const Node& node);

}  // namespace octet
