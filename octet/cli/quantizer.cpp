#include "octet/cli/quantizer.h"

#include <nlohmann/json.hpp>

#include "octet/cli/output.h"
#include "octet/formats/dtype.h"
#include "octet/quantize/spec_text.h"
#include "octet/report/table.h"
#include "octet/support/atomic_write.h"
#include "octet/support/budget.h"
#include "octet/support/byte_source.h"
#include "octet/support/error.h"
#include "octet/support/json_text.h"
#include "octet/targets/targets.h"

namespace octet::cli {

using targets::Override;
using targets::QuantizationPlan;
using targets::QuantizerConfig;
using targets::QuantizerOptions;
using targets::TableQuantizer;
using targets::Target;

namespace {

Override left_in_float(const std::string& pattern) {
  if (pattern.empty()) throw Error("--leave-float", "expected a pattern, got ''");
  Override choice;
  const bool wild = pattern.find_first_of("*?") != std::string::npos;
  const bool by_op = pattern.rfind("aten.", 0) == 0 || (!wild && targets::names_operator(pattern));
  if (by_op && !targets::names_operator(pattern)) {
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

std::string says(const Override& choice) {
  if (choice.quantize == false) return "leave in float";
  std::string text;
  const auto add = [&](const std::string& setting) { text += (text.empty() ? "" : ", ") + setting; };
  if (choice.quantize == true) add("quantize");
  if (!choice.scheme.empty()) add("scheme " + choice.scheme);
  if (!choice.activation_observer.empty()) add("activation_observer " + choice.activation_observer);
  if (!choice.weight_observer.empty()) add("weight_observer " + choice.weight_observer);
  return text;
}

}  // namespace

std::string flag_of(std::string setting) {
  std::replace(setting.begin(), setting.end(), '_', '-');
  return "--" + setting;
}

std::vector<std::pair<std::string, std::string>> run_settings(const std::string& config) {
  return targets::parse_config(read_file(config, limits::kConfig), config, all_targets()).training;
}

std::string default_target() { return all_targets().standard()->name; }

std::vector<SettingFlag> setting_flags() {
  std::vector<SettingFlag> flags;
  for (const auto& target : all_targets().all()) {
    for (const targets::Setting& setting : target->settings) {
      const bool known =
          std::any_of(flags.begin(), flags.end(), [&](const SettingFlag& other) { return other.name == setting.name; });
      if (!known) flags.push_back({setting.name, flag_of(setting.name), setting.help});
    }
  }
  return flags;
}

std::string modes_of_targets() {
  std::vector<std::pair<std::string, std::string>> groups;  // names of targets, of modes
  for (const auto& target : all_targets().all()) {
    const std::string modes = target->schemes_text();
    const auto known =
        std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.second == modes; });
    if (known != groups.end()) {
      known->first += ", " + target->name;
    } else {
      groups.emplace_back(target->name, modes);
    }
  }
  std::string text;
  for (const auto& [names, modes] : groups) text += octet::str(text.empty() ? "" : "; ", names, ": ", modes);
  return text;
}

QuantizerConfig resolve(const QuantizerArguments& arguments, std::optional<QuantizationMode> mode) {
  QuantizerConfig config;
  QuantizerOptions& options = config.options;
  if (!arguments.config.empty()) {
    config = targets::parse_config(read_file(arguments.config, limits::kConfig), arguments.config, all_targets(), mode);
  }
  const std::shared_ptr<const Target> target = !arguments.target.empty()
                                                   ? all_targets().find(arguments.target, "--target")
                                               : !options.target.empty() ? all_targets().find(options.target)
                                                                         : all_targets().standard();
  if (options.target != target->name)
    options = {.target = target->name, .mode = options.mode, .overrides = options.overrides};
  if (mode) options.mode = *mode;
  if (!arguments.mode.empty()) {
    if (!target->find_scheme(arguments.mode)) {
      throw targets::wrong_choice("--mode", target->schemes_text(), arguments.mode);
    }
    options.scheme = arguments.mode;
  }
  for (const auto& [name, value] : arguments.settings) {
    if (value.empty()) continue;
    targets::check_setting(*target, name, value, flag_of(name));
    options.settings[name] = value;
  }
  for (const std::string& pattern : arguments.leave_float) {
    const Override choice = left_in_float(pattern);
    // In place of what the config says of the same: flags win.
    std::erase_if(options.overrides,
                  [&](const Override& other) { return other.module == choice.module && other.op == choice.op; });
    options.overrides.push_back(choice);
  }
  for (const std::string& pass : arguments.without_passes) {
    std::vector<std::string>& left_out = options.without_passes;
    if (std::find(left_out.begin(), left_out.end(), pass) == left_out.end()) left_out.push_back(pass);
  }
  options = targets::completed(std::move(options), *target, "options");
  if (mode && options.mode != *mode) {
    throw Error(arguments.mode.empty() ? arguments.config : "--mode",
                octet::str("'", options.scheme, "' is for ", text(options.mode), " quantization, and ", text(*mode),
                           " is asked for"))
        .hint("name another --mode: octet targets lists them");
  }
  return config;
}

TableQuantizer make_quantizer(const QuantizerOptions& options) {
  return TableQuantizer(all_targets().find(options.target), options, "options");
}

void print(const TableQuantizer::Explanation& explanation, const TableQuantizer& quantizer, std::ostream& out) {
  const QuantizerOptions& options = quantizer.options();
  out << "target: " << options.target << "\nmode: " << text(options.mode) << '\n';
  if (!options.scheme.empty()) out << "scheme: " << options.scheme << '\n';
  for (const targets::Setting& setting : quantizer.target().settings) {
    std::string title = setting.name;
    std::replace(title.begin(), title.end(), '_', ' ');
    const std::string& value = options.settings.at(setting.name);
    out << title << ": " << value;
    for (const targets::Setting::Choice& choice : setting.choices) {
      if (choice.value == value && !choice.note.empty()) out << ", " << choice.note;
    }
    out << '\n';
  }
  if (!options.without_passes.empty()) out << "without passes: " << join(", ", options.without_passes) << '\n';
  for (size_t i = 0; i < options.overrides.size(); ++i) {
    const QuantizationPlan::Override& outcome = explanation.plan.overrides[i];
    out << "overrides[" << i << "]: " << options.overrides[i].selector() << ": " << says(options.overrides[i]) << ": "
        << (outcome.matched.empty() ? "matches no node" : join(", ", outcome.matched)) << '\n';
  }
  report::Table table({"op", "name", "inputs", "output"});
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

void write_run_settings(const std::vector<std::pair<std::string, std::string>>& settings, const std::string& output) {
  nlohmann::ordered_json json = {{"version", targets::kConfigVersion}, {"training", nlohmann::ordered_json::object()}};
  for (const auto& [flag, value] : settings) json["training"][flag] = value;
  atomic_write(output + ".json", json_text(json, 2) + "\n");
}

TableQuantizer quantizer_beside(const std::string& model, bool is_quantized) {
  QuantizerArguments arguments;
  const std::string config = config_beside(model);
  if (!config.empty()) {
    const auto json = nlohmann::json::parse(config, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("target")) arguments.config = model + ".json";
  }
  QuantizerOptions options = resolve(arguments, std::nullopt).options;
  const std::optional<targets::Scheme> scheme = all_targets().find(options.target)->find_scheme(options.scheme);
  if (!is_quantized && (!scheme || !scheme->mode)) options.mode = QuantizationMode::kPtq;
  return make_quantizer(options);
}

void write_config(const QuantizerConfig& config, const std::string& output) {
  atomic_write(output + ".json", json_text(to_json(config), 2) + "\n");
}

}  // namespace octet::cli
