#include "octet/targets/engine/kept_in_float.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "octet/lowering/rule.h"

namespace octet::targets {
namespace {

struct DivisorRow {
  std::string_view packet;  // an operator in all its overloads, in place or not
  std::string_view argument;
};

constexpr DivisorRow kDivisors[] = {
    {"div", "other"},       {"divide", "other"}, {"true_divide", "other"}, {"floor_divide", "other"},
    {"remainder", "other"}, {"fmod", "other"},   {"reciprocal", "self"},   {"rsqrt", "self"},
    {"log", "self"},        {"log2", "self"},    {"log10", "self"},        {"sqrt", "self"},
};

bool is_negative(const Arg& exponent) {
  return exponent.is_constant() && exponent.constant().isScalar() && exponent.to_double() < 0.0;
}

constexpr double kGreatestGuard = 1e-3;

bool is_any_of(const Node& node, std::initializer_list<OpName> ops) {
  return std::any_of(ops.begin(), ops.end(), [&](OpName op) { return node.is_call(op); });
}

// The greatest element of a constant operand by size; nullopt where it is computed.
std::optional<double> size_of(const GraphModule& module, const Arg& operand) {
  if (operand.is_constant() && operand.constant().isScalar()) return std::abs(operand.to_double());
  const Node* node = operand.node();
  if (node == nullptr || !node->is_get_attr()) return std::nullopt;
  const at::Tensor value = module.attr(node->target()).detach();
  return value.numel() == 0 ? std::nullopt : std::optional(value.abs().max().item().toDouble());
}

// The value beside the constant operand of `x op constant` where `fits` holds for the constant's size.
Node* beside_constant(const GraphModule& module, const Node& node, const std::function<bool(double)>& fits) {
  for (const auto& [value, constant] : {std::pair(0, 1), std::pair(1, 0)}) {
    const std::optional<double> size = size_of(module, node.arg(static_cast<size_t>(constant)));
    if (size && fits(*size)) return node.arg(static_cast<size_t>(value)).node();
  }
  return nullptr;
}

// x * x, or sums of such, moved or scaled.
bool is_of_squares(const Node& node) {
  const Node* at = &node;
  while (at->is_call() && !at->inputs().empty()) {
    if (at->is_call("aten.mul.Tensor") && at->arg("self").node() == at->arg("other").node()) return true;
    if (!lowering::is_auxiliary(*at) &&
        !is_any_of(*at, {"aten.sum.dim_IntList", "aten.mean.dim", "aten.slice.Tensor", "aten.mul.Tensor"})) {
      return false;
    }
    at = at->inputs().front();
  }
  return false;
}

// One value in another arrangement, or a part of it.
bool is_moved(const Node& node) {
  return node.is_call() && lowering::moves_values(node) && node.inputs().size() == 1 &&
         (lowering::is_auxiliary(node) ||
          is_any_of(node, {"aten.expand.default", "aten.expand_as.default", "aten.slice.Tensor", "aten.select.int"}));
}

bool is_product(const Node& node) {
  return is_any_of(node, {"aten.bmm.default", "aten.matmul.default", "aten.mm.default"});
}

bool is_mean(const Node& node) { return is_any_of(node, {"aten.sum.dim_IntList", "aten.mean.dim"}); }

// A product or a sum, moved: some of its elements may be far smaller than others.
bool is_of_sums(const Node& node) {
  const Node* at = &node;
  while (is_moved(*at)) at = at->inputs().front();
  return is_product(*at) || is_mean(*at);
}

// A sum or a mean, moved.
bool is_of_means(const Node& node) {
  const Node* at = &node;
  while (is_moved(*at)) at = at->inputs().front();
  return is_mean(*at);
}

// Values without which the node's value near 0 is lost: what is 0, or next to it, where that is.
std::vector<Node*> sources_of_zeros(const GraphModule& module, const Node& node) {
  if (node.kind() == NodeKind::kGetItem) return {node.inputs().front()};
  if (!node.is_call() || node.inputs().empty()) return {};
  const auto one = [](Node* value) { return value == nullptr ? std::vector<Node*>{} : std::vector<Node*>{value}; };
  const auto is_guard = [](double size) { return size <= kGreatestGuard; };
  if (is_any_of(node, {"aten.add.Tensor", "aten.add_.Tensor", "aten.maximum.default"})) {
    if (Node* guarded = beside_constant(module, node, is_guard)) return {guarded};
  }
  if (is_any_of(node, {"aten.add.Tensor", "aten.add_.Tensor", "aten.sum.dim_IntList", "aten.mean.dim"})) {
    std::vector<Node*> squares = node.inputs();
    std::erase_if(squares, [](const Node* input) { return !is_of_squares(*input); });
    return squares;
  }
  if (is_any_of(node, {"aten.clamp.default", "aten.clamp_.default"})) {
    const Arg& least = node.arg("min");
    const bool guards = !least.is_none() && least.is_constant() && is_guard(std::abs(least.to_double()));
    return guards && node.arg("max").is_none() ? one(node.arg(size_t{0}).node()) : std::vector<Node*>{};
  }
  if (is_any_of(node, {"aten.mul.Tensor", "aten.mul_.Tensor"})) {
    if (node.arg("self").node() == node.arg("other").node() && is_of_means(*node.inputs().front())) {
      return {node.inputs().front()};
    }
    return one(beside_constant(module, node, [](double) { return true; }));
  }
  // q @ (k @ 1): where a sum of keys became 0, so did the divisor, beside a dividend that did not.
  if (is_product(node)) {
    std::vector<Node*> sums = node.inputs();
    std::erase_if(sums, [](const Node* input) { return !is_of_sums(*input); });
    return sums;
  }
  if (node.is_call("aten.cat.default")) return node.inputs();
  // E[x^2] - E[x]^2
  if (is_any_of(node, {"aten.sub.Tensor", "aten.sub_.Tensor"})) {
    std::vector<Node*> terms = node.inputs();
    std::erase_if(terms, [](const Node* term) { return !is_of_squares(*term); });
    return terms.size() == 2 ? terms : std::vector<Node*>{};
  }
  const bool keeps_zero = is_any_of(node, {"aten.abs.default", "aten.neg.default", "aten.sqrt.default"});
  return is_moved(node) || keeps_zero ? one(node.inputs().front()) : std::vector<Node*>{};
}

bool is_of_angles(const Node& node) {
  return is_any_of(node, {"aten.sin.default", "aten.sin_.default", "aten.cos.default", "aten.cos_.default"});
}

// One of these alone on the NPU, between values of other grids, would be little work there.
bool scales_or_moves(const Node& node) {
  return is_moved(node) || is_any_of(node, {"aten.cat.default", "aten.mul.Tensor", "aten.mul_.Tensor",
                                            "aten.div.Tensor", "aten.div_.Tensor", "aten.add.Tensor",
                                            "aten.add_.Tensor", "aten.sub.Tensor", "aten.sub_.Tensor"});
}

bool reads_parameter(const GraphModule& module, const Node& node) {
  const std::vector<Node*> inputs = node.inputs();
  return std::any_of(inputs.begin(), inputs.end(), [&](const Node* input) {
    return input->is_get_attr() && module.attr_kind(input->target()) == AttrKind::kParameter;
  });
}

}  // namespace

Node* divisor_of(const Node& node) {
  std::string_view packet = node.op().short_name();
  if (packet.ends_with('_')) packet.remove_suffix(1);
  if (packet == "pow" && node.has_arg("exponent") && node.has_arg("self")) {
    return is_negative(node.arg("exponent")) ? node.arg("self").node() : nullptr;
  }
  for (const DivisorRow& row : kDivisors) {
    if (row.packet == packet && node.has_arg(row.argument)) return node.arg(row.argument).node();
  }
  return nullptr;
}

std::unordered_set<const Node*> float_divisors(const GraphModule& module,
                                               const std::function<bool(const Node&)>& stays_in_float) {
  std::unordered_set<const Node*> found;
  const std::vector<Node*> nodes = module.graph().nodes();
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    const Node* node = *it;
    if (found.count(node) > 0) {
      for (const Node* source : sources_of_zeros(module, *node)) found.insert(source);
    }
    if (!node->is_call() || !stays_in_float(*node)) continue;
    if (const Node* divisor = divisor_of(*node)) found.insert(divisor);
  }
  return found;
}

std::unordered_set<const Node*> float_angles(const GraphModule& module,
                                             const std::function<bool(const Node&)>& stays_in_float) {
  std::unordered_set<const Node*> found;
  const auto reads_angles = [&](const Node& node) { return is_of_angles(node) && stays_in_float(node); };
  const std::vector<Node*> nodes = module.graph().nodes();
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    const Node* node = *it;
    if (!reads_angles(*node) && (found.count(node) == 0 || is_product(*node))) continue;
    for (const Node* input : node->inputs()) {
      if (scales_or_moves(*input) || (is_product(*input) && !reads_parameter(module, *input))) found.insert(input);
    }
  }
  for (const Node* input : module.graph().placeholders()) {
    const std::vector<Node*> users = input->users();
    const auto is_float = [&](const Node* user) { return found.count(user) > 0 || reads_angles(*user); };
    if (!users.empty() && std::all_of(users.begin(), users.end(), is_float)) found.insert(input);
  }
  return found;
}

}  // namespace octet::targets
