#include "octet/targets/engine/overrides.h"

#include "octet/support/error.h"

namespace octet::targets {
namespace {

constexpr const char* kInputOp = "input";

struct ObserverName {
  const char* name;
  Watch watch;
  bool per_channel;
  bool in_training;
};
constexpr ObserverName kObservers[] = {
    {"histogram", Watch::kHistogram, false, false},
    {"min_max", Watch::kMinMax, false, true},
    {"moving_average_min_max", Watch::kMovingAverage, false, true},
    {"per_channel_min_max", Watch::kMinMax, true, true},
    {"moving_average_per_channel_min_max", Watch::kMovingAverage, true, true},
};

std::string observer_names(QuantizationMode mode, bool per_tensor, bool per_channel) {
  std::string names;
  for (const ObserverName& entry : kObservers) {
    if ((mode == QuantizationMode::kQat && !entry.in_training) || !(entry.per_channel ? per_channel : per_tensor))
      continue;
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  }
  return names;
}

const ObserverName* find_observer(const std::string& name) {
  for (const ObserverName& entry : kObservers) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

void check_observer(const std::string& name, QuantizationMode mode, bool weight, const std::string& where) {
  if (name.empty()) return;
  const ObserverName* known = find_observer(name);
  const std::string names = observer_names(mode, true, weight);
  if (known == nullptr) throw wrong_choice(where, names, name);
  if (known->per_channel && !weight) throw wrong_choice(where, names, name).hint("activations have one scale");
  if (mode == QuantizationMode::kQat && !known->in_training) {
    throw wrong_choice(where, names, name).hint("a histogram does not follow values that training moves");
  }
}

void check_pattern(const std::string& pattern, const std::string& where) {
  const bool odd = std::any_of(pattern.begin(), pattern.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7f;
  });
  if (odd) throw Error(where, octet::str("expected a pattern without blanks, got '", pattern, "'"));
}

void check_override(const Override& choice, QuantizationMode mode, const std::vector<std::string>& schemes,
                    const std::string& where) {
  if (choice.module.empty() && choice.op.empty()) {
    throw Error(where, "selects nothing").hint("give a pattern for module, op or both; '*' selects all");
  }
  check_pattern(choice.module, where + ".module");
  check_pattern(choice.op, where + ".op");
  if (!choice.op.empty() && !names_operator(choice.op)) {
    throw Error(where + ".op",
                octet::str("expected an operator such as conv2d or aten.conv2d.default, got '", choice.op, "'"));
  }
  const char* said = !choice.scheme.empty()                ? "scheme"
                     : !choice.activation_observer.empty() ? "activation_observer"
                     : !choice.weight_observer.empty()     ? "weight_observer"
                                                           : nullptr;
  if (!choice.quantize && said == nullptr) {
    throw Error(where, "says nothing of what it selects")
        .hint("give quantize, scheme, activation_observer or weight_observer");
  }
  if (choice.quantize == false && said != nullptr) {
    throw Error(where, octet::str("contradicts itself: quantize is false beside ", said));
  }
  if (!choice.scheme.empty() && std::find(schemes.begin(), schemes.end(), choice.scheme) == schemes.end()) {
    throw wrong_choice(where + ".scheme", join(", ", schemes), choice.scheme);
  }
  check_observer(choice.activation_observer, mode, false, where + ".activation_observer");
  check_observer(choice.weight_observer, mode, true, where + ".weight_observer");
}

// `target` is "namespace.name.overload".
bool op_matches(std::string_view pattern, std::string_view target) {
  const std::string_view packet = target.substr(0, target.rfind('.'));
  const std::string_view bare = target.substr(target.find('.') + 1);
  return glob_matches(pattern, target) || glob_matches(pattern, packet) || glob_matches(pattern, bare) ||
         glob_matches(pattern, bare.substr(0, bare.find('.')));
}

// The modules that a node belongs to, as far as names tell.
std::vector<std::string> module_names(const Node& node) {
  std::vector<std::string> names = {node.name()};
  if (const std::string* path = node.notes().find(kModulePathNote)) names.push_back(*path);
  for (const Node* input : node.inputs()) {
    const size_t dot = input->is_get_attr() ? input->target().rfind('.') : std::string::npos;
    if (dot != std::string::npos) names.push_back(input->target().substr(0, dot));
  }
  return names;
}

}  // namespace

Error wrong_choice(const std::string& where, const std::string& wanted, const std::string& got) {
  return Error(where, octet::str("expected one of ", wanted, ", got '", got, "'"));
}

std::string below(const std::string& where, const std::string& path) {
  return where.empty() ? path : octet::str(where, ": ", path);
}

std::string Override::selector() const {
  std::string both = module.empty() ? "" : octet::str("module '", module, "'");
  if (!op.empty()) both += octet::str(both.empty() ? "" : ", ", "op '", op, "'");
  return both;
}

void check_overrides(const std::vector<Override>& overrides, QuantizationMode mode,
                     const std::vector<std::string>& schemes, const std::string& where) {
  for (size_t i = 0; i < overrides.size(); ++i) {
    const Override& choice = overrides[i];
    const std::string place = below(where, octet::str("overrides[", i, "]"));
    check_override(choice, mode, schemes, place);
    for (size_t earlier = 0; earlier < i; ++earlier) {
      const Override& other = overrides[earlier];
      if (other.module != choice.module || other.op != choice.op) continue;
      throw Error(place, octet::str("selects the same as overrides[", earlier, "]: ", choice.selector()))
          .hint("make one of the two");
    }
  }
}

bool glob_matches(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;  // the last `*`, and what it has swallowed
  size_t swallowed = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      swallowed = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++swallowed;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool selects(const Override& choice, const Node& node) {
  const bool input = node.kind() == NodeKind::kPlaceholder;
  if (!input && !node.is_call()) return false;
  if (!choice.op.empty() && !(input ? glob_matches(choice.op, kInputOp) : op_matches(choice.op, node.target()))) {
    return false;
  }
  if (choice.module.empty()) return true;
  const std::vector<std::string> names = module_names(node);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return glob_matches(choice.module, name); });
}

NodeChoices choices_for(const std::vector<Override>& overrides, const Node& node) {
  NodeChoices choices;
  for (size_t i = 0; i < overrides.size(); ++i) {
    const Override& choice = overrides[i];
    if (!selects(choice, node)) continue;
    if (choice.quantize == false) {
      choices = NodeChoices();
      choices.left_in_float = i;
      continue;
    }
    choices.left_in_float.reset();
    if (!choice.scheme.empty()) choices.scheme = i;
    if (!choice.activation_observer.empty()) choices.activation_observer = i;
    if (!choice.weight_observer.empty()) choices.weight_observer = i;
  }
  return choices;
}

ObserverFactory observer_by_name(const std::string& name, const RoleConfig& numbers, QuantizationMode mode,
                                 const std::string& where) {
  if (numbers.blocks) throw Error(where, "weights in blocks have one observer, of minimum and maximum");
  const ObserverName* known = find_observer(name);
  const bool fits = known != nullptr && known->per_channel == numbers.per_channel &&
                    (mode == QuantizationMode::kPtq || known->in_training);
  if (!fits) {
    throw wrong_choice(where, observer_names(mode, !numbers.per_channel, numbers.per_channel), name)
        .hint(numbers.per_channel ? "its weight has a scale for each channel" : "it has one scale");
  }
  ObserverChoice choice = mode == QuantizationMode::kQat ? numbers.in_training : numbers.after_training;
  choice.watch = known->watch;
  choice.averaging_constant = ObserverChoice().averaging_constant;
  if (takes_moving_averages(choice.rounding) && choice.watch != Watch::kMovingAverage) {
    choice.rounding = Rounding::kFakeQuantize;
  }
  return observer(choice, numbers.per_channel, numbers.eps);
}

bool names_operator(const std::string& pattern) {
  if (glob_matches(pattern, kInputOp)) return true;
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    const size_t colons = name.name.find("::");
    if (colons == std::string::npos) continue;
    const std::string target = octet::str(name.name.substr(0, colons), '.', name.name.substr(colons + 2), '.',
                                          name.overload_name.empty() ? std::string("default") : name.overload_name);
    if (op_matches(pattern, target)) return true;
  }
  return false;
}

}  // namespace octet::targets
