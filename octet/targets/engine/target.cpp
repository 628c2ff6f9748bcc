#include "octet/targets/engine/target.h"

#include "octet/support/error.h"

namespace octet::targets {
namespace {

std::string choice_names(const Setting& setting) {
  std::string names;
  for (const Setting::Choice& choice : setting.choices) names += (names.empty() ? "" : ", ") + choice.value;
  return names;
}

const Setting* find_setting(const Target& target, const std::string& name) {
  for (const Setting& setting : target.settings) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

}  // namespace

QuantizationConfig Target::config(const std::string& scheme, const QuantizerOptions& options) const {
  const std::optional<Scheme> known =
      scheme.empty() && !schemes.empty() ? std::optional(schemes.front()) : find_scheme(scheme);
  if (!known) throw wrong_choice(octet::str(name, ": scheme"), schemes_text(), scheme);
  return known->config(options);
}

std::optional<Scheme> Target::find_scheme(const std::string& scheme) const {
  const auto found =
      std::find_if(schemes.begin(), schemes.end(), [&](const Scheme& known) { return known.name == scheme; });
  if (found != schemes.end()) return *found;
  return more_schemes.make ? more_schemes.make(scheme) : std::nullopt;
}

std::optional<Scheme> Target::scheme_in_training(const std::string& scheme) const {
  for (const std::string& prefix : {std::string(), std::string("static-")}) {
    if (!scheme.starts_with(prefix)) continue;
    std::optional<Scheme> found = find_scheme("qat-" + scheme.substr(prefix.size()));
    if (found && found->mode == QuantizationMode::kQat) return found;
  }
  return std::nullopt;
}

std::vector<std::string> Target::scheme_names() const {
  std::vector<std::string> names;
  for (const Scheme& scheme : schemes) names.push_back(scheme.name);
  return names;
}

std::string Target::schemes_text() const {
  return join(", ", scheme_names()) + (more_schemes.make ? "; and " + more_schemes.form : "");
}

std::vector<Pass> Target::chosen_passes(const QuantizerOptions& options) const {
  std::vector<Pass> chosen = passes ? passes(settled(options, *this)) : std::vector<Pass>();
  std::erase_if(chosen, [&](const Pass& pass) {
    return std::find(options.without_passes.begin(), options.without_passes.end(), pass.name) !=
           options.without_passes.end();
  });
  return chosen;
}

namespace {

// A scheme that is made for one mode says it; where none is named, the first that serves the mode is. What overrides
// name must serve it too.
void choose_scheme(QuantizerOptions& options, const Target& target, const std::string& where) {
  const auto serves = [&](const Scheme& scheme) { return !scheme.mode || *scheme.mode == options.mode; };
  const bool fixed = std::any_of(target.schemes.begin(), target.schemes.end(),
                                 [](const Scheme& scheme) { return scheme.mode.has_value(); });
  if (options.scheme.empty() && fixed) {
    const auto first = std::find_if(target.schemes.begin(), target.schemes.end(), serves);
    if (first == target.schemes.end()) {
      throw Error(below(where, "mode"),
                  octet::str(target.name, " has no scheme for ", text(options.mode), " quantization"));
    }
    options.scheme = first->name;
  } else if (!options.scheme.empty()) {
    const std::optional<Scheme> named = target.find_scheme(options.scheme);
    if (!named) throw wrong_choice(below(where, "scheme"), target.schemes_text(), options.scheme);
    if (named->mode) options.mode = *named->mode;
  }
  for (size_t i = 0; i < options.overrides.size(); ++i) {
    const std::optional<Scheme> named = target.find_scheme(options.overrides[i].scheme);
    if (!named || serves(*named)) continue;
    throw Error(below(where, octet::str("overrides[", i, "].scheme")),
                octet::str("'", named->name, "' is for ", text(*named->mode), " quantization, the rest is ",
                           text(options.mode)));
  }
}

// What is to be weighed in one of its forms.
QuantizerOptions in_form(QuantizerOptions options, const Target& target, std::string Setting::Weighed::*form) {
  for (const Setting& setting : target.settings) {
    const auto given = options.settings.find(setting.name);
    if (given != options.settings.end() && given->second == kWeighed && setting.weighed) {
      given->second = *setting.weighed.*form;
    }
  }
  return options;
}

void check_passes(const QuantizerOptions& options, const Target& target, const std::string& where) {
  if (options.without_passes.empty()) return;
  // Of any mode, so that one config serves training and what comes before it, and of either form that may be weighed.
  std::vector<std::string> known;
  for (const QuantizationMode mode : target.modes) {
    for (const auto form : {&Setting::Weighed::exact, &Setting::Weighed::whole}) {
      QuantizerOptions other = in_form(options, target, form);
      other.mode = mode;
      for (const Pass& pass : target.passes ? target.passes(other) : std::vector<Pass>()) known.push_back(pass.name);
    }
  }
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  for (const std::string& name : options.without_passes) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    throw wrong_choice(below(where, "without_passes"), join(", ", known), name);
  }
}

}  // namespace

void check_setting(const Target& target, const std::string& name, const std::string& value, const std::string& where) {
  const Setting* setting = find_setting(target, name);
  if (setting == nullptr) throw Error(where, octet::str(target.name, " has no such setting"));
  if (std::none_of(setting->choices.begin(), setting->choices.end(),
                   [&](const Setting::Choice& choice) { return choice.value == value; })) {
    throw wrong_choice(where, choice_names(*setting), value);
  }
}

QuantizerOptions completed(QuantizerOptions options, const Target& target, const std::string& where) {
  if (options.target.empty()) options.target = target.name;
  if (options.target != target.name) throw wrong_choice(below(where, "target"), target.name, options.target);
  choose_scheme(options, target, where);
  if (std::find(target.modes.begin(), target.modes.end(), options.mode) == target.modes.end()) {
    throw Error(below(where, "mode"), octet::str(target.name, " is not quantized ", text(options.mode)));
  }
  for (const auto& [name, value] : options.settings) check_setting(target, name, value, below(where, name));
  for (const Setting& setting : target.settings) {
    options.settings.emplace(setting.name, setting.choices.front().value);
  }
  check_passes(options, target, where);
  std::vector<std::string> schemes = target.scheme_names();
  for (const Override& choice : options.overrides) {
    if (target.find_scheme(choice.scheme)) schemes.push_back(choice.scheme);
  }
  check_overrides(options.overrides, options.mode, schemes, where);
  return options;
}

QuantizerOptions settled(QuantizerOptions options, const Target& target) {
  return in_form(std::move(options), target, &Setting::Weighed::exact);
}

void check(const Target& target) {
  const std::string where = octet::str("target '", target.name, "'");
  if (target.name.empty()) throw Error(where, "has no name");
  if (target.schemes.empty()) throw Error(where, "has no scheme");
  if (target.modes.empty()) throw Error(where, "has no mode");
  for (const Setting& setting : target.settings) {
    if (setting.choices.empty()) throw Error(where, octet::str("setting ", setting.name, " has no choice"));
    if (!setting.weighed) continue;
    for (const std::string& value : {std::string(kWeighed), setting.weighed->exact, setting.weighed->whole}) {
      check_setting(target, setting.name, value, octet::str(where, ": setting ", setting.name));
    }
  }
  for (const QuantizationMode mode : target.modes) {
    QuantizerOptions options;
    options.mode = mode;
    options = completed(std::move(options), target, where);
    for (const Scheme& scheme : target.schemes) {
      if (scheme.mode && *scheme.mode != mode) continue;
      check(scheme.config(options), octet::str(where, ", scheme ", scheme.name));
    }
  }
}

}  // namespace octet::targets
