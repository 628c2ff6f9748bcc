#include "octet/targets/targets.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/verbs.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

std::vector<std::string> choices_of(const targets::Setting& setting) {
  std::vector<std::string> names;
  for (const targets::Setting::Choice& choice : setting.choices) names.push_back(choice.value);
  return names;
}

std::vector<std::string> modes_of(const targets::Target& target) {
  std::vector<std::string> names;
  for (const QuantizationMode mode : target.modes) names.emplace_back(text(mode));
  return names;
}

// With the default settings, in every mode.
std::vector<std::string> passes_of(const targets::Target& target) {
  std::vector<std::string> names;
  for (const QuantizationMode mode : target.modes) {
    targets::QuantizerOptions options;
    options.mode = mode;
    for (const targets::Pass& pass : target.chosen_passes(targets::completed(options, target, target.name))) {
      if (std::find(names.begin(), names.end(), pass.name) == names.end()) names.push_back(pass.name);
    }
  }
  return names;
}

// In the standard scheme.
size_t pattern_count(const targets::Target& target) {
  const targets::PatternTable table = target.patterns(targets::completed({}, target, target.name));
  size_t count = table.propagation.size();
  for (const targets::PatternStage& stage : table.stages) count += stage.size();
  return count;
}

void print_target(const targets::Target& target, bool standard) {
  std::cout << target.name << (standard ? " (default)" : "") << ": " << target.description << '\n'
            << "  modes: " << join(", ", modes_of(target)) << '\n'
            << "  schemes (--mode): " << target.schemes_text() << '\n'
            << "  operators: "
            << (target.patterns ? octet::str(pattern_count(target), " patterns")
                                : octet::str(target.rules.rows().size(), " rows"))
            << " (octet operators --target " << target.name << ")\n";
  for (const targets::Setting& setting : target.settings) {
    std::cout << "  " << setting.name << ": " << join(" or ", choices_of(setting)) << '\n';
  }
  if (const std::vector<std::string> passes = passes_of(target); !passes.empty()) {
    std::cout << "  passes: " << join(", ", passes) << '\n';
  }
  for (const auto& [what, limit] : target.limits) std::cout << "  limit: " << what << ' ' << limit << '\n';
}

nlohmann::ordered_json to_json(const targets::Target& target) {
  nlohmann::ordered_json json;
  json["name"] = target.name;
  json["description"] = target.description;
  json["modes"] = modes_of(target);
  json["schemes"] = target.scheme_names();
  json["settings"] = nlohmann::ordered_json::object();
  for (const targets::Setting& setting : target.settings) json["settings"][setting.name] = choices_of(setting);
  json["passes"] = passes_of(target);
  json["limits"] = nlohmann::ordered_json::object();
  for (const auto& [what, limit] : target.limits) json["limits"][what] = limit;
  return json;
}

}  // namespace

void targets(const TargetsArguments& arguments) {
  const auto& all = all_targets().all();
  if (arguments.json) {
    auto json = nlohmann::ordered_json::array();
    for (const auto& target : all) json.push_back(to_json(*target));
    std::cout << json.dump(2) << '\n';
    return;
  }
  for (const auto& target : all) print_target(*target, target == all_targets().standard());
}

}  // namespace octet::cli
