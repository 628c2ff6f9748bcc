#include "octet/lowering/clip.h"

#include <cmath>

namespace octet {
namespace {

std::optional<double> finite(const Arg& arg) {
  if (arg.is_none()) return std::nullopt;
  const double value = arg.to_double();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<ActivationBounds> clipping_bounds(const Node& node) {
  if (!node.is_call()) return std::nullopt;
  const auto is = [&](OpName op, OpName in_place) { return node.is_call(op) || node.is_call(in_place); };
  if (is("aten.relu.default", "aten.relu_.default")) return ActivationBounds{0.0, std::nullopt};
  if (is("aten.relu6.default", "aten.relu6_.default")) return ActivationBounds{0.0, 6.0};
  const bool hardtanh = is("aten.hardtanh.default", "aten.hardtanh_.default");
  const bool clamp = is("aten.clamp.default", "aten.clamp_.default");
  if (!hardtanh && !clamp) return std::nullopt;
  const Arg& low = node.arg(hardtanh ? "min_val" : "min");
  const Arg& high = node.arg(hardtanh ? "max_val" : "max");
  if (!low.is_constant() || !high.is_constant()) return std::nullopt;
  return ActivationBounds{finite(low), finite(high)};
}

}  // namespace octet
