#include <cmath>
#include <numbers>
#include <optional>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool is_near(double a, double b) { return std::abs(a - b) < 1e-5 * std::abs(b); }

std::optional<double> number_at(const Node& node, const char* argument) {
  const Arg& arg = node.arg(argument);
  const bool is_number = arg.is_constant() && (arg.constant().isInt() || arg.constant().isDouble());
  return is_number ? std::optional(arg.to_double()) : std::nullopt;
}

// The factor by which products and quotients with numbers make `node` of the value for which `is_it` holds; nullopt
// where they don't.
template <typename IsIt>
std::optional<double> factor_of(Node* node, const IsIt& is_it) {
  double factor = 1;
  while (!is_it(node, factor)) {
    const bool divides = node->is_call("aten.div.Tensor");
    if (!divides && !node->is_call("aten.mul.Tensor")) return std::nullopt;
    const std::optional<double> number = number_at(*node, "other");
    node = node->arg("self").node();
    if (!number || *number == 0 || node == nullptr) return std::nullopt;
    factor = divides ? factor / *number : factor * *number;
  }
  return factor;
}

bool adds_one(const Node& sum) {
  return sum.is_call("aten.add.Tensor") && number_at(sum, "other") == 1.0 && number_at(sum, "alpha") == 1.0;
}

// The last of the products by which `gate` = 1 + erf(x / sqrt 2) becomes x / 2 times itself; nullptr where it does not.
Node* whole_of(Node* gate, const Node* x) {
  double factor = 1;
  bool has_x = false;
  for (Node* part = gate;;) {
    Node* user = only_user(*part);
    if (user == nullptr || (!user->is_call("aten.mul.Tensor") && !user->is_call("aten.div.Tensor"))) return nullptr;
    const bool divides = user->is_call("aten.div.Tensor");
    if (const std::optional<double> number = number_at(*user, "other")) {
      factor = divides ? factor / *number : factor * *number;
    } else {
      Node* self = user->arg("self").node();
      Node* other = user->arg("other").node();
      if (divides || has_x || self == nullptr || other == nullptr || self == other) return nullptr;
      const std::optional<double> side =
          factor_of(self == part ? other : self, [x](const Node* node, double) { return node == x; });
      if (!side) return nullptr;
      has_x = true;
      factor *= *side;
    }
    part = user;
    if (has_x && is_near(factor, 0.5)) return part;
  }
}

}  // namespace

bool recompose_gelu(GraphModule& module) {
  bool changed = false;
  for (Node* erf : calls_where(module.graph(), [](const Node& node) { return node.is_call("aten.erf.default"); })) {
    Node* argument = erf->arg("self").node();
    Node* gate = only_user(*erf);
    if (argument == nullptr || gate == nullptr || !adds_one(*gate)) continue;
    Node* x = nullptr;
    factor_of(argument, [&](Node* node, double factor) {
      x = is_near(factor, 1 / std::numbers::sqrt2) ? node : nullptr;
      return x != nullptr;
    });
    Node* whole = x == nullptr ? nullptr : whole_of(gate, x);
    if (whole == nullptr || !whole->meta() || whole->sizes() != x->sizes()) continue;
    const auto here = module.graph().inserting_before(whole);
    replace_by_parts(whole, add_call("aten.gelu.default", {x}, whole->sizes(), *whole));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
