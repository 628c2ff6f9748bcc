#include "octet/targets/engine/operator_table.h"

#include <cmath>
#include <sstream>

#include "octet/lowering/rule.h"
#include "octet/support/error.h"

namespace octet::targets {
namespace {

// "1/256" for a scale that is one.
std::string fraction(double scale) {
  const double inverse = 1.0 / scale;
  return inverse == std::round(inverse) ? octet::str("1/", std::llround(inverse)) : octet::str(scale);
}

// The spec of a role in a letter and what tells it from others of the letter.
std::string spec_name(const QuantizationConfig& config, Role role, int64_t channel_axis) {
  if (role == Role::kShared) return "S";
  const RoleConfig* numbers = config.find(role);
  if (numbers == nullptr) return "-";
  if (numbers->fixed) return octet::str("F ", fraction(numbers->fixed->scale), ", ", numbers->fixed->zero_point);
  std::string name = config.owner(role) == Role::kProductOperand ? "P"
                     : config.owner(role) == Role::kSecondFactor ? "P"
                     : family(role) == Role::kWeight             ? "W"
                     : family(role) == Role::kBias               ? "B"
                                                                 : "A";
  if (numbers->per_channel) name += octet::str(numbers->channel_axis.value_or(channel_axis));
  return name;
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
    case Sharing::kFirstInputOrOwn:
      return "with its input, else its own";
    case Sharing::kOwn:
      return "one for all that it reads and gives";
    case Sharing::kJoining:
      return "that of the result, for all that it reads";
  }
  return "";
}

std::string fusion_text(const OperatorRule& rule) {
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
    text += rule.fuses_at.empty() ? "is taken" : "is taken at bounds " + targets::text(rule.fuses_at);
  }
  if (!rule.own_output_at.empty()) text += "; output A at activation bounds";
  return text.rfind("; ", 0) == 0 ? text.substr(2) : text;
}

std::string joined(const std::vector<Constraint>& constraints) {
  std::string text;
  for (const Constraint& each : constraints) text += (text.empty() ? "" : "; ") + each.text;
  return text;
}

std::string constraints_text(const OperatorRule& rule) {
  std::string text = joined(rule.constraints);
  if (!rule.alone.empty()) {
    text += octet::str(text.empty() ? "" : "; ", "alone in its partition: ", joined(rule.alone));
  }
  switch (rule.no_op) {
    case NoOp::kNever:
    case NoOp::kIfOneInput:
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

std::string ops_text(const std::vector<std::string_view>& ops) {
  std::string text;
  for (const std::string_view op : ops) text += octet::str(text.empty() ? "" : ", ", '`', op, '`');
  return text;
}

std::string sharing_text(PatternSharing sharing) {
  switch (sharing) {
    case PatternSharing::kNone:
      return "";
    case PatternSharing::kProducer:
      return "with its input, if that has one";
    case PatternSharing::kProducerOrOwn:
      return "with its input, else its own";
    case PatternSharing::kInputs:
      return "one for all inputs and the output";
  }
  return "";
}

std::string behind_text(const QuantizationPattern& pattern) {
  std::string text = pattern.batch_norm ? "BatchNorm" : "";
  std::string activations;
  for (const PatternActivation& each : pattern.activations) {
    activations += (activations.empty() ? "" : ", ") + ops_text(each.ops);
  }
  if (!activations.empty()) text += (text.empty() ? "" : ", then ") + activations;
  return text;
}

// A row a pattern, in the order in which they are tried.
std::string pattern_rows(const Target& target) {
  const PatternTable table = target.patterns(completed({}, target, target.name));
  std::ostringstream out;
  out << "| pattern | starts at | takes in behind it | reads | grid shared | when |\n|---|---|---|---|---|---|\n";
  const auto rows = [&](const PatternStage& stage, const std::string& when) {
    for (const QuantizationPattern& pattern : stage) {
      std::string inputs;
      for (const InputRule& input : pattern.inputs) {
        inputs += octet::str(inputs.empty() ? "" : ", ", input.argument, ": ", text(input.role));
      }
      std::string modes = pattern.qat_only ? "in training" : when;
      if (pattern.serves_dynamic) modes += modes.empty() ? "dynamic too" : ", dynamic too";
      out << "| " << pattern.name << " | " << ops_text(pattern.ops) << " | " << behind_text(pattern) << " | " << inputs
          << " | " << sharing_text(pattern.sharing) << " | " << modes << " |\n";
    }
  };
  for (const PatternStage& stage : table.stages) rows(stage, "");
  rows(table.propagation, "after all others");
  return out.str();
}

}  // namespace

std::string operator_table(const Target& target) {
  if (target.patterns) return octet::str("# Patterns of ", target.name, "\n\n", target.document, pattern_rows(target));
  const QuantizationConfig config = target.config("", completed({}, target, target.name));
  std::ostringstream out;
  out << "# Operators of " << target.name << "\n\n"
      << target.document
      << "| operator | inputs | output | grid shared | computed together | constraints on the NPU | lowering |\n"
      << "|---|---|---|---|---|---|---|\n";
  for (const OperatorRule& rule : target.rules.rows()) {
    std::string ops = ops_text(rule.ops);
    if (rule.qat_only) ops += " (in training)";
    std::string inputs;
    for (const InputRule& input : rule.inputs) {
      inputs += octet::str(inputs.empty() ? "" : ", ", input.argument, ' ',
                           spec_name(config, input.role, input.channel_axis));
    }
    std::string output = spec_name(config, rule.output, 0);
    if (rule.drops_output_before_batch_norm) output += ", in training none before a BatchNorm";
    const lowering::OperatorRow* lowered = lowering::find_lowering_rule(rule.ops.front());
    const std::string builtins =
        lowered == nullptr || lowered->builtins.empty() ? "vanishes" : std::string(lowered->builtins);
    out << "| " << ops << " | " << cell(inputs) << " | " << cell(output) << " | " << sharing_text(rule) << " | "
        << cell(fusion_text(rule)) << " | " << cell(constraints_text(rule)) << " | "
        << (rule.qat_only ? "folded" : builtins) << " |\n";
  }
  return out.str();
}

}  // namespace octet::targets
