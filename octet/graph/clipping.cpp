#include "octet/graph/clipping.h"

#include <limits>

namespace octet {

std::optional<Clipping> clipping_of(const Node& node) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (!node.is_call()) return std::nullopt;
  const auto is = [&](OpName op, OpName in_place) { return node.is_call(op) || node.is_call(in_place); };
  if (is("aten.relu.default", "aten.relu_.default")) return Clipping{0.0, kInfinity};
  if (is("aten.relu6.default", "aten.relu6_.default")) return Clipping{0.0, 6.0};
  const bool hardtanh = is("aten.hardtanh.default", "aten.hardtanh_.default");
  const bool clamp = is("aten.clamp.default", "aten.clamp_.default");
  if (!hardtanh && !clamp) return std::nullopt;
  const Arg& low = node.arg(hardtanh ? "min_val" : "min");
  const Arg& high = node.arg(hardtanh ? "max_val" : "max");
  if (!low.is_constant() || !high.is_constant()) return std::nullopt;
  return Clipping{low.is_none() ? -kInfinity : low.to_double(), high.is_none() ? kInfinity : high.to_double(), clamp};
}

}  // namespace octet
