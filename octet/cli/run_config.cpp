#include "octet/cli/run_config.h"

#include <algorithm>
#include <sstream>

#include "octet/support/error.h"

namespace octet::cli {
namespace {

// Between the values of an option that takes several.
char separator_of(const CLI::Option& option) {
  const char own = option.get_delimiter();
  return own != '\0' ? own : ' ';
}

bool takes_several(const CLI::Option& option) { return option.get_items_expected_max() > 1; }

std::string text_of(const CLI::Option& option) {
  if (option.count() == 0) return option.get_default_str();
  std::string text;
  for (const std::string& value : option.results()) {
    if (!text.empty()) text += separator_of(option);
    text += value;
  }
  return text;
}

void give(CLI::Option& option, const std::string& text) {
  if (takes_several(option)) {
    std::stringstream stream(text);
    for (std::string part; std::getline(stream, part, separator_of(option));) option.add_result(part);
  } else {
    option.add_result(text);
  }
  option.run_callback();
}

}  // namespace

std::string setting_name(const CLI::Option& option) {
  std::string name = option.get_single_name();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::tolower(c)); });
  return name;
}

void take_settings(CLI::App& verb, const RunSettings& settings, const std::set<std::string>& left_out,
                   const std::string& where) {
  for (const auto& [name, value] : settings) {
    if (left_out.contains(name)) continue;
    const auto options = verb.get_options();
    const auto found = std::find_if(options.begin(), options.end(),
                                    [&, key = name](const CLI::Option* each) { return setting_name(*each) == key; });
    if (found == options.end()) throw Error(where, octet::str("training.", name, ": octet train has no such flag"));
    CLI::Option& option = **found;
    if (option.count() > 0 || value.empty() || value == option.get_default_str()) continue;
    give(option, value);
  }
}

std::set<std::string> at_defaults(const CLI::App& verb) {
  std::set<std::string> names;
  for (const CLI::Option* option : verb.get_options()) {
    if (text_of(*option) == option->get_default_str()) names.insert(setting_name(*option));
  }
  return names;
}

RunSettings settings_of(const CLI::App& verb, const std::set<std::string>& left_out) {
  RunSettings settings;
  for (const CLI::Option* option : verb.get_options()) {
    const std::string name = setting_name(*option);
    if (left_out.contains(name)) continue;
    const std::string text = text_of(*option);
    if (!text.empty()) settings.emplace_back(name, text);
  }
  return settings;
}

}  // namespace octet::cli
