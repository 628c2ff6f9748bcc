#include "octet/lowering/clip.h"

#include <cmath>

#include "octet/graph/clipping.h"

namespace octet {

std::optional<ActivationBounds> clipping_bounds(const Node& node) {
  const std::optional<Clipping> clipping = clipping_of(node);
  if (!clipping) return std::nullopt;
  const auto finite = [](double bound) { return std::isfinite(bound) ? std::optional(bound) : std::nullopt; };
  return ActivationBounds{finite(clipping->low), finite(clipping->high)};
}

}  // namespace octet
