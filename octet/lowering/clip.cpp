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
  const std::string_view name = node.op().short_name();
  if (name == "relu" || name == "relu_") return ActivationBounds{0.0, std::nullopt};
  if (name == "relu6" || name == "relu6_") return ActivationBounds{0.0, 6.0};
  const bool hardtanh = name == "hardtanh" || name == "hardtanh_";
  const bool clamp = name == "clamp" || name == "clamp_";
  if (!hardtanh && !clamp) return std::nullopt;
  const Arg& low = node.arg(hardtanh ? "min_val" : "min");
  const Arg& high = node.arg(hardtanh ? "max_val" : "max");
  if (!low.is_constant() || !high.is_constant()) return std::nullopt;
  return ActivationBounds{finite(low), finite(high)};
}

}  // namespace octet
