#include "octet/cli/quantizer.h"

#include <nlohmann/json.hpp>

#include "octet/cli/table.h"
#include "octet/formats/dtype.h"
#include "octet/quantize/spec_text.h"
#include "octet/support/atomic_write.h"
#include "octet/support/budget.h"
#include "octet/support/byte_source.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

NeutronOverride left_in_float(const std::string& pattern) {
  if (pattern.empty()) throw Error("--leave-float", "expected a pattern, got ''");
  NeutronOverride choice;
  const bool wild = pattern.find_first_of("*?") != std::string::npos;
  const bool by_op = pattern.rfind("aten.", 0) == 0 || (!wild && names_operator(pattern));
  if (by_op && !names_operator(pattern)) {
    throw Error("--leave-float", octet::str("expected an operator or a pattern for names, got '", pattern, "'"));
  }
  (by_op ? choice.op : choice.module) = pattern;
  choice.quantize = false;
  return choice;
}

// ---- explain --------------------------------------------------------------------------------------------------------

// Short enough for a table.
std::string short_text(const AnySpec& spec) {
  if (const auto* plain = std::get_if<QuantizationSpec>(&spec)) {
    const std::string scheme = plain->qscheme == at::kPerTensorAffine ? "" : qscheme_text(plain->qscheme) + " ";
    return octet::str(dtype_name(plain->dtype), ' ', scheme, plain->observer_or_fake_quant.name);
  }
  if (const auto* fixed = std::get_if<FixedQParamsQuantizationSpec>(&spec)) {
    return octet::str(dtype_name(fixed->dtype), " fixed ", fixed->scale, ", ", fixed->zero_point);
  }
  if (const auto* shared = std::get_if<SharedQuantizationSpec>(&spec)) {
    return octet::str("shared with ", shared->edge_or_node.text());
  }
  const auto& derived = std::get<DerivedQuantizationSpec>(spec);
  return octet::str(dtype_name(derived.dtype), ' ', derived.derive_name);
}

std::string inputs_text(const QuantizationAnnotation& note, const std::string& reason) {
  std::string all;
  for (const auto& [producer, spec] : note.input_qspec_map) {
    const std::string name = producer->is_get_attr() ? producer->target() : producer->name();
    all += octet::str(all.empty() ? "" : "; ", name, ": ", short_text(spec));
  }
  return all.empty() ? reason : all;
}

std::string says(const NeutronOverride& choice) {
  if (choice.quantize == false) return "leave in float";
  std::string text;
  const auto add = [&](const std::string& setting) { text += (text.empty() ? "" : ", ") + setting; };
  if (choice.quantize == true) add("quantize");
  if (!choice.activation_observer.empty()) add("activation_observer " + choice.activation_observer);
  if (!choice.weight_observer.empty()) add("weight_observer " + choice.weight_observer);
  return text;
}

}  // namespace

std::string default_target() { return NeutronOptions().target; }

QuantizerConfig resolve(const QuantizerArguments& arguments, std::optional<bool> is_qat) {
  QuantizerConfig config;
  if (!arguments.config.empty()) {
    config = parse_config(read_file(arguments.config, limits::kConfig), arguments.config, is_qat);
  }
  NeutronOptions& options = config.options;
  if (is_qat) options.is_qat = *is_qat;
  if (!arguments.target.empty()) options.target = NeutronTargetSpec(arguments.target).name();
  if (!arguments.mul_range.empty()) {
    options.mul_range = mul_range_from_text(arguments.mul_range, "--mul-range");
  }
  if (!arguments.sigmoid_input.empty()) {
    options.sigmoid_input = sigmoid_input_from_text(arguments.sigmoid_input, "--sigmoid-input");
  }
  for (const std::string& pattern : arguments.leave_float) {
    const NeutronOverride choice = left_in_float(pattern);
    // In place of what the config says of the same: flags win.
    std::erase_if(options.overrides,
                  [&](const NeutronOverride& other) { return other.module == choice.module && other.op == choice.op; });
    options.overrides.push_back(choice);
  }
  check_options(options, "options");
  return config;
}

void print(const NeutronQuantizer::Explanation& explanation, const NeutronOptions& options, std::ostream& out) {
  out << "target: " << options.target << "\nmode: " << (options.is_qat ? "quantization-aware" : "post-training")
      << "\nmul range: " << text(options.mul_range)
      << (options.mul_range == MulRange::kReference ? ", fixed 1/256 with zero point 0" : "")
      << "\nsigmoid input: " << text(options.sigmoid_input) << '\n';
  for (size_t i = 0; i < options.overrides.size(); ++i) {
    const QuantizationPlan::Override& outcome = explanation.plan.overrides[i];
    out << "overrides[" << i << "]: " << options.overrides[i].selector() << ": " << says(options.overrides[i]) << ": "
        << (outcome.matched.empty() ? "matches no node" : c10::Join(", ", outcome.matched)) << '\n';
  }
  Table table({"op", "name", "inputs", "output"});
  for (const QuantizationPlan::Entry& entry : explanation.plan.entries) {
    const bool input = entry.node->kind() == NodeKind::kPlaceholder;
    const QuantizationAnnotation* note = annotation(*entry.node);
    const bool annotated = note != nullptr && note->annotated;
    table.row({input ? "input" : entry.node->target(), entry.node->name(),
               annotated ? inputs_text(*note, entry.reason) : "",
               annotated && note->output_qspec ? short_text(*note->output_qspec) : entry.reason});
  }
  out << '\n' << table.text() << '\n';
}

void write_config(const QuantizerConfig& config, const std::string& output) {
  atomic_write(output + ".json", to_json(config).dump(2) + "\n");
}

}  // namespace octet::cli
