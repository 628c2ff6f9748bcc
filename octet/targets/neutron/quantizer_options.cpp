#include "octet/targets/neutron/quantizer_options.h"

#include <nlohmann/json.hpp>

#include "octet/formats/json.h"
#include "octet/quantize/factories.h"
#include "octet/support/error.h"
#include "octet/targets/neutron/target_spec.h"

namespace octet {
namespace {

constexpr const char* kInputOp = "input";

struct ObserverName {
  const char* name;
  bool per_channel;
  bool in_training;
};
constexpr ObserverName kObservers[] = {
    {"histogram", false, false},
    {"min_max", false, true},
    {"moving_average_min_max", false, true},
    {"per_channel_min_max", true, true},
    {"moving_average_per_channel_min_max", true, true},
};

std::string observer_names(bool is_qat, bool per_tensor, bool per_channel) {
  std::string names;
  for (const ObserverName& entry : kObservers) {
    if ((is_qat && !entry.in_training) || !(entry.per_channel ? per_channel : per_tensor)) continue;
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

Error wrong_choice(const std::string& where, const std::string& wanted, const std::string& got) {
  return Error(where, octet::str("expected one of ", wanted, ", got '", got, "'"));
}

std::string below(const std::string& where, const std::string& path) {
  return where.empty() ? path : octet::str(where, ": ", path);
}

void check_observer(const std::string& name, bool is_qat, bool weight, const std::string& where) {
  if (name.empty()) return;
  const ObserverName* known = find_observer(name);
  const std::string names = observer_names(is_qat, true, weight);
  if (known == nullptr) throw wrong_choice(where, names, name);
  if (known->per_channel && !weight) throw wrong_choice(where, names, name).hint("activations have one scale");
  if (is_qat && !known->in_training) {
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

void check_override(const NeutronOverride& choice, bool is_qat, const std::string& where) {
  if (choice.module.empty() && choice.op.empty()) {
    throw Error(where, "selects nothing").hint("give a pattern for module, op or both; '*' selects all");
  }
  check_pattern(choice.module, where + ".module");
  check_pattern(choice.op, where + ".op");
  if (!choice.op.empty() && !names_operator(choice.op)) {
    throw Error(where + ".op",
                octet::str("expected an operator such as conv2d or aten.conv2d.default, got '", choice.op, "'"));
  }
  const bool observes = !choice.activation_observer.empty() || !choice.weight_observer.empty();
  if (!choice.quantize && !observes) {
    throw Error(where, "says nothing of what it selects").hint("give quantize, activation_observer or weight_observer");
  }
  if (choice.quantize == false && observes) {
    throw Error(where, octet::str("contradicts itself: quantize is false beside ",
                                  choice.activation_observer.empty() ? "weight_observer" : "activation_observer"));
  }
  check_observer(choice.activation_observer, is_qat, false, where + ".activation_observer");
  check_observer(choice.weight_observer, is_qat, true, where + ".weight_observer");
}

// ---- reading --------------------------------------------------------------------------------------------------------

// Every key but these is an error.
void check_keys(const JsonCursor& object, const std::vector<std::string>& known) {
  for (const auto& [key, value] : object.members()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw Error(value.where(), octet::str("unknown key; expected one of ", c10::Join(", ", known)));
    }
  }
}

std::optional<JsonCursor> member(const JsonCursor& object, const std::string& key) {
  if (!object.json().contains(key)) return std::nullopt;
  return object.at(key);
}

// A text that says something: an empty pattern or name is a slip.
std::string filled(const JsonCursor& value) {
  std::string read = value.to_string();
  if (read.empty()) throw Error(value.where(), "expected a text, got ''");
  return read;
}

int64_t not_negative(const JsonCursor& value) {
  const int64_t read = value.to_int();
  if (read < 0) throw Error(value.where(), octet::str("expected 0 or more, got ", read));
  return read;
}

NeutronOverride read_override(const JsonCursor& object) {
  check_keys(object, {"module", "op", "quantize", "activation_observer", "weight_observer"});
  NeutronOverride choice;
  if (const auto value = member(object, "module")) choice.module = filled(*value);
  if (const auto value = member(object, "op")) choice.op = filled(*value);
  if (const auto value = member(object, "quantize")) choice.quantize = value->to_bool();
  if (const auto value = member(object, "activation_observer")) choice.activation_observer = filled(*value);
  if (const auto value = member(object, "weight_observer")) choice.weight_observer = filled(*value);
  return choice;
}

CalibrationFacts read_calibration(const JsonCursor& object) {
  check_keys(object, {"data", "samples", "batch_size", "seed"});
  CalibrationFacts facts;
  facts.data = filled(object.at("data"));
  if (const auto value = member(object, "samples")) facts.samples = not_negative(*value);
  if (const auto value = member(object, "batch_size")) facts.batch_size = not_negative(*value);
  if (const auto value = member(object, "seed")) facts.seed = static_cast<uint64_t>(not_negative(*value));
  return facts;
}

void check_version(const JsonCursor& document) {
  const int64_t version = document.at("version").to_int();
  if (version == kConfigVersion) return;
  throw Error(document.at("version").where(), octet::str("expected ", kConfigVersion, ", got ", version))
      .hint("the file is of another version of octet");
}

}  // namespace

std::string NeutronOverride::selector() const {
  std::string both = module.empty() ? "" : octet::str("module '", module, "'");
  if (!op.empty()) both += octet::str(both.empty() ? "" : ", ", "op '", op, "'");
  return both;
}

void check_options(const NeutronOptions& options, const std::string& where) {
  const std::vector<std::string> targets = NeutronTargetSpec::known();
  if (std::find(targets.begin(), targets.end(), options.target) == targets.end()) {
    throw wrong_choice(below(where, "target"), c10::Join(", ", targets), options.target);
  }
  for (size_t i = 0; i < options.overrides.size(); ++i) {
    const NeutronOverride& choice = options.overrides[i];
    const std::string place = below(where, octet::str("overrides[", i, "]"));
    check_override(choice, options.is_qat, place);
    for (size_t earlier = 0; earlier < i; ++earlier) {
      const NeutronOverride& other = options.overrides[earlier];
      if (other.module != choice.module || other.op != choice.op) continue;
      throw Error(place, octet::str("selects the same as overrides[", earlier, "]: ", choice.selector()))
          .hint("make one of the two");
    }
  }
}

QuantizerConfig parse_config(std::string_view text, const std::string& where, std::optional<bool> is_qat) {
  const nlohmann::json parsed =
      parse_json(text, where, {.max_bytes = limits::kConfig, .max_depth = limits::kConfigDepth});
  const JsonCursor document(parsed, where);
  check_keys(document,
             {"version", "target", "qat", "mul_range", "sigmoid_input", "overrides", "calibration", "training"});
  check_version(document);
  QuantizerConfig config;
  NeutronOptions& options = config.options;
  if (const auto value = member(document, "target")) options.target = filled(*value);
  if (const auto value = member(document, "qat")) options.is_qat = value->to_bool();
  if (const auto value = member(document, "mul_range")) {
    options.mul_range = mul_range_from_text(value->to_string(), value->where());
  }
  if (const auto value = member(document, "sigmoid_input")) {
    options.sigmoid_input = sigmoid_input_from_text(value->to_string(), value->where());
  }
  if (const auto value = member(document, "overrides")) {
    for (const JsonCursor& element : value->elements()) options.overrides.push_back(read_override(element));
  }
  if (const auto value = member(document, "calibration")) config.calibration = read_calibration(*value);
  if (const auto value = member(document, "training")) {
    for (const auto& [key, fact] : value->members()) config.training.emplace_back(key, fact.to_string());
  }
  if (is_qat) options.is_qat = *is_qat;
  check_options(options, where);
  return config;
}

nlohmann::ordered_json to_json(const QuantizerConfig& config) {
  const NeutronOptions& options = config.options;
  nlohmann::ordered_json json;
  json["version"] = kConfigVersion;
  json["target"] = options.target;
  json["qat"] = options.is_qat;
  json["mul_range"] = text(options.mul_range);
  json["sigmoid_input"] = text(options.sigmoid_input);
  json["overrides"] = nlohmann::ordered_json::array();
  for (const NeutronOverride& choice : options.overrides) {
    nlohmann::ordered_json object;
    if (!choice.module.empty()) object["module"] = choice.module;
    if (!choice.op.empty()) object["op"] = choice.op;
    if (choice.quantize) object["quantize"] = *choice.quantize;
    if (!choice.activation_observer.empty()) object["activation_observer"] = choice.activation_observer;
    if (!choice.weight_observer.empty()) object["weight_observer"] = choice.weight_observer;
    json["overrides"].push_back(std::move(object));
  }
  if (config.calibration) {
    json["calibration"] = {{"data", config.calibration->data},
                           {"samples", config.calibration->samples},
                           {"batch_size", config.calibration->batch_size},
                           {"seed", config.calibration->seed}};
  }
  for (const auto& [flag, value] : config.training) json["training"][flag] = value;
  return json;
}

const char* text(MulRange range) { return range == MulRange::kObserved ? "observed" : "reference"; }

MulRange mul_range_from_text(const std::string& name, const std::string& where) {
  for (const MulRange range : {MulRange::kReference, MulRange::kObserved}) {
    if (name == text(range)) return range;
  }
  throw wrong_choice(where, "reference, observed", name);
}

const char* text(SigmoidInput input) { return input == SigmoidInput::kObserved ? "observed" : "reference"; }

SigmoidInput sigmoid_input_from_text(const std::string& name, const std::string& where) {
  for (const SigmoidInput input : {SigmoidInput::kObserved, SigmoidInput::kReference}) {
    if (name == text(input)) return input;
  }
  throw wrong_choice(where, "observed, reference", name);
}

namespace neutron {

namespace {

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
  if (const std::string* path = node.notes().find(kModulePathNote)) {
    names.push_back(*path);
  }
  for (const Node* input : node.inputs()) {
    const size_t dot = input->is_get_attr() ? input->target().rfind('.') : std::string::npos;
    if (dot != std::string::npos) names.push_back(input->target().substr(0, dot));
  }
  return names;
}

}  // namespace

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

bool selects(const NeutronOverride& choice, const Node& node) {
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

NodeChoices choices_for(const NeutronOptions& options, const Node& node) {
  NodeChoices choices;
  for (size_t i = 0; i < options.overrides.size(); ++i) {
    const NeutronOverride& choice = options.overrides[i];
    if (!selects(choice, node)) continue;
    if (choice.quantize == false) {
      choices = NodeChoices();
      choices.left_in_float = i;
      continue;
    }
    choices.left_in_float.reset();
    if (!choice.activation_observer.empty()) choices.activation_observer = i;
    if (!choice.weight_observer.empty()) choices.weight_observer = i;
  }
  return choices;
}

ObserverFactory observer_by_name(const std::string& name, SpecKind kind, bool is_qat, const std::string& where) {
  const bool per_channel = kind == SpecKind::kConvWeight || kind == SpecKind::kTransposedWeight;
  const ObserverName* known = find_observer(name);
  if (known == nullptr || known->per_channel != per_channel || (is_qat && !known->in_training)) {
    throw wrong_choice(where, observer_names(is_qat, !per_channel, per_channel), name)
        .hint(per_channel ? "its weight has a scale for each channel" : "it has one scale");
  }
  const bool activation = kind == SpecKind::kActivation;
  const double eps = activation ? kActivationEps : kDefaultEps;
  if (activation && is_qat && name == "moving_average_min_max") return fused_moving_avg_fake_quantize(0.01, eps);
  ObserverFactory observer = name == "histogram"                ? histogram_observer(eps)
                             : name == "min_max"                ? min_max_observer(eps)
                             : name == "moving_average_min_max" ? moving_average_min_max_observer(0.01, eps)
                             : name == "per_channel_min_max"    ? per_channel_min_max_observer(eps)
                                                             : moving_average_per_channel_min_max_observer(0.01, eps);
  return is_qat ? fake_quantize(observer) : observer;
}

}  // namespace neutron

bool names_operator(const std::string& pattern) {
  if (neutron::glob_matches(pattern, kInputOp)) return true;
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    const size_t colons = name.name.find("::");
    if (colons == std::string::npos) continue;
    const std::string target = octet::str(name.name.substr(0, colons), '.', name.name.substr(colons + 2), '.',
                                          name.overload_name.empty() ? std::string("default") : name.overload_name);
    if (neutron::op_matches(pattern, target)) return true;
  }
  return false;
}

}  // namespace octet
