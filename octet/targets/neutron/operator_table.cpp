#include "octet/targets/neutron/operator_table.h"

#include <sstream>

#include "octet/lowering/rule.h"
#include "octet/support/error.h"
#include "octet/targets/neutron/operator_rules.h"

namespace octet::neutron {
namespace {

std::string spec_name(SpecKind kind) {
  switch (kind) {
    case SpecKind::kNone:
      return "-";
    case SpecKind::kActivation:
      return "A";
    case SpecKind::kShared:
      return "S";
    case SpecKind::kConvWeight:
      return "W0";
    case SpecKind::kTransposedWeight:
      return "W1";
    case SpecKind::kWeight:
      return "W";
    case SpecKind::kConvBias:
      return "B0";
    case SpecKind::kLinearBias:
      return "B";
    case SpecKind::kProduct:
      return "P";
    case SpecKind::kHalf:
      return "F 1/256, 0";
    case SpecKind::kUnit:
      return "F 1/256, -128";
    case SpecKind::kSignedUnit:
      return "F 1/128, 0";
  }
  return "";
}

std::string sharing_text(const OperatorRule& rule) {
  switch (rule.sharing) {
    case Sharing::kNone:
      return "";
    case Sharing::kFirstInput:
      return "with its input";
    case Sharing::kAnyInput:
      return "with an input that has a grid";
    case Sharing::kAnyInputOrOwn:
      return "with an input that has a grid, else its own";
  }
  return "";
}

std::string fusion_text(const OperatorRule& rule, const NeutronLimits& limits) {
  std::string text;
  switch (rule.fusion) {
    case Fusion::kNone:
      break;
    case Fusion::kActivation:
      text = "takes an activation";
      break;
    case Fusion::kActivationIfMatrix:
      text = "takes an activation where the result is a matrix";
      break;
    case Fusion::kActivationThroughBatchNorm:
      text = "takes an activation, in training through a BatchNorm";
      break;
  }
  if (rule.is_activation) {
    text += text.empty() ? "" : "; ";
    text += rule.activation_needs_bounds ? "is taken at bounds " + octet::text(limits.fusable_bounds) : "is taken";
  }
  if (rule.own_output_in_activation_bounds) text += "; output A at activation bounds";
  return text.rfind("; ", 0) == 0 ? text.substr(2) : text;
}

std::string joined(const std::vector<Constraint>& constraints, const NeutronLimits& limits) {
  std::string text;
  for (const Constraint& each : constraints) text += (text.empty() ? "" : "; ") + each.text(limits);
  return text;
}

std::string constraints_text(const OperatorRule& rule, const NeutronLimits& limits) {
  std::string text = joined(rule.constraints, limits);
  if (!rule.alone.empty()) {
    text += octet::str(text.empty() ? "" : "; ", "alone in its partition: ", joined(rule.alone, limits));
  }
  switch (rule.no_op) {
    case NoOp::kNever:
      break;
    case NoOp::kAlways:
      text += octet::str(text.empty() ? "" : "; ", "not among such alone");
      break;
    case NoOp::kIfIdentity:
      text += octet::str(text.empty() ? "" : "; ", "not alone where it changes nothing");
      break;
  }
  return text;
}

// A bar would end the cell.
std::string cell(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

}  // namespace

std::string operator_table(const NeutronTargetSpec& target) {
  std::ostringstream out;
  out << "# Operators of " << target.name() << "\n\n"
      << "Written by `octet operators`; the suite compares. A row of `octet/targets/neutron/operator_rules.cpp` each. "
         "What "
         "no row names stays in float.\n\n"
      << "Specs, all int8 but the biases: **A** activation, per tensor, affine, -128..127; **S** shared; **W** weight "
         "per "
         "tensor, **W0** and **W1** per channel of dimension 0 and 1, symmetric, -127..127; **B** bias, int32, its "
         "scale "
         "that of input times weight, **B0** a channel each; **P** per tensor, symmetric, -127..127; **F** fixed scale "
         "and "
         "zero point. Every input and result on the NPU must be int8 (weights and biases as said).\n\n"
      << "| operator | inputs | output | grid shared | computed together | constraints on the NPU | lowering |\n"
      << "|---|---|---|---|---|---|---|\n";
  for (const OperatorRule& rule : operator_rules()) {
    std::string ops;
    for (const std::string_view op : rule.ops) ops += octet::str(ops.empty() ? "" : ", ", '`', op, '`');
    if (rule.qat_only) ops += " (in training)";
    std::string inputs;
    for (const InputRule& input : rule.inputs) {
      inputs += octet::str(inputs.empty() ? "" : ", ", input.argument, ' ', spec_name(input.spec));
    }
    std::string output = spec_name(rule.output);
    if (rule.drops_output_before_batch_norm) output += ", in training none before a BatchNorm";
    const lowering::LoweringRule* lowered = lowering::find_lowering_rule(rule.ops.front());
    const std::string builtins =
        lowered == nullptr || lowered->builtins.empty() ? "vanishes" : std::string(lowered->builtins);
    out << "| " << ops << " | " << cell(inputs) << " | " << cell(output) << " | " << sharing_text(rule) << " | "
        << cell(fusion_text(rule, target.limits())) << " | " << cell(constraints_text(rule, target.limits())) << " | "
        << (rule.qat_only ? "folded" : builtins) << " |\n";
  }
  return out.str();
}

}  // namespace octet::neutron
