#include "octet/targets/engine/config_file.h"

#include <nlohmann/json.hpp>

#include "octet/formats/json.h"
#include "octet/support/budget.h"
#include "octet/support/error.h"

namespace octet::targets {
namespace {

// Every key but these is an error.
void check_keys(const JsonCursor& object, const std::vector<std::string>& known) {
  for (const auto& [key, value] : object.members()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw Error(value.where(), octet::str("unknown key; expected one of ", join(", ", known)));
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

// A flag's text, also where it is written as a number, true or false, or a list.
std::string setting_text(const JsonCursor& value) {
  const nlohmann::json& json = value.json();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_number() || json.is_boolean()) return json.dump();
  if (!json.is_array()) throw Error(value.where(), octet::str("expected a text, a number, true, false or a list"));
  std::string text;
  for (const JsonCursor& element : value.elements()) text += (text.empty() ? "" : ",") + setting_text(element);
  return text;
}

Override read_override(const JsonCursor& object) {
  check_keys(object, {"module", "op", "quantize", "scheme", "activation_observer", "weight_observer"});
  Override choice;
  if (const auto value = member(object, "module")) choice.module = filled(*value);
  if (const auto value = member(object, "op")) choice.op = filled(*value);
  if (const auto value = member(object, "quantize")) choice.quantize = value->to_bool();
  if (const auto value = member(object, "scheme")) choice.scheme = filled(*value);
  if (const auto value = member(object, "activation_observer")) choice.activation_observer = filled(*value);
  if (const auto value = member(object, "weight_observer")) choice.weight_observer = filled(*value);
  return choice;
}

double within(const JsonCursor& value, double low, double high) {
  const double read = value.to_double();
  if (!(read >= low && read <= high)) {
    throw Error(value.where(), octet::str("expected ", low, " to ", high, ", got ", read));
  }
  return read;
}

std::vector<double> a_channel(const JsonCursor& value, double low) {
  std::vector<double> read;
  for (const JsonCursor& element : value.elements()) read.push_back(within(element, low, 1e6));
  if (read.empty()) throw Error(value.where(), "expected a number a channel, got none");
  return read;
}

PictureFacts read_pictures(const JsonCursor& object) {
  check_keys(object, {"resize", "filter", "mean", "std", "held_out"});
  PictureFacts facts;
  if (const auto value = member(object, "resize")) {
    if (value->to_int() < 1) throw Error(value->where(), octet::str("expected 1 or more, got ", value->to_int()));
    facts.resize = value->to_int();
  }
  if (const auto value = member(object, "filter")) {
    facts.filter = value->to_string();
    if (*facts.filter != "bilinear" && *facts.filter != "bicubic") {
      throw Error(value->where(), octet::str("expected bilinear or bicubic, got '", *facts.filter, "'"));
    }
  }
  if (const auto value = member(object, "mean")) facts.mean = a_channel(*value, -1e6);
  if (const auto value = member(object, "std")) facts.std = a_channel(*value, 1e-6);
  if (const auto value = member(object, "held_out")) facts.held_out = within(*value, 0, 1);
  return facts;
}

nlohmann::ordered_json to_json(const PictureFacts& facts) {
  nlohmann::ordered_json json;
  if (facts.resize) json["resize"] = *facts.resize;
  if (facts.filter) json["filter"] = *facts.filter;
  if (!facts.mean.empty()) json["mean"] = facts.mean;
  if (!facts.std.empty()) json["std"] = facts.std;
  if (facts.held_out) json["held_out"] = *facts.held_out;
  return json;
}

CalibrationFacts read_calibration(const JsonCursor& object) {
  check_keys(object, {"data", "samples", "batch_size", "seed", "pictures"});
  CalibrationFacts facts;
  facts.data = filled(object.at("data"));
  if (const auto value = member(object, "samples")) facts.samples = not_negative(*value);
  if (const auto value = member(object, "batch_size")) facts.batch_size = not_negative(*value);
  if (const auto value = member(object, "seed")) facts.seed = static_cast<uint64_t>(not_negative(*value));
  if (const auto value = member(object, "pictures")) facts.pictures = read_pictures(*value);
  return facts;
}

void check_version(const JsonCursor& document) {
  const int64_t version = document.at("version").to_int();
  if (version == kConfigVersion) return;
  throw Error(document.at("version").where(), octet::str("expected ", kConfigVersion, ", got ", version))
      .hint("the file is of another version of octet");
}

std::shared_ptr<const Target> target_of(const JsonCursor& document, const Registry& targets) {
  const auto named = member(document, "target");
  return named ? targets.find(filled(*named), named->where()) : targets.standard();
}

}  // namespace

QuantizerConfig parse_config(std::string_view text, const std::string& where, const Registry& targets,
                             std::optional<QuantizationMode> mode) {
  const nlohmann::json parsed =
      parse_json(text, where, {.max_bytes = limits::kConfig, .max_depth = limits::kConfigDepth});
  const JsonCursor document(parsed, where);
  document.members();  // an object
  const std::shared_ptr<const Target> target = target_of(document, targets);
  std::vector<std::string> keys = {"version", "target", "qat", "scheme"};
  for (const Setting& setting : target->settings) keys.push_back(setting.name);
  for (const char* key : {"without_passes", "overrides", "calibration", "training"}) keys.emplace_back(key);
  check_keys(document, keys);
  check_version(document);
  QuantizerConfig config;
  QuantizerOptions& options = config.options;
  options.target = target->name;
  if (const auto value = member(document, "qat")) {
    options.mode = value->to_bool() ? QuantizationMode::kQat : QuantizationMode::kPtq;
  }
  if (const auto value = member(document, "scheme")) options.scheme = filled(*value);
  for (const Setting& setting : target->settings) {
    if (const auto value = member(document, setting.name)) options.settings[setting.name] = value->to_string();
  }
  if (const auto value = member(document, "without_passes")) {
    for (const JsonCursor& element : value->elements()) options.without_passes.push_back(filled(element));
  }
  if (const auto value = member(document, "overrides")) {
    for (const JsonCursor& element : value->elements()) options.overrides.push_back(read_override(element));
  }
  if (const auto value = member(document, "calibration")) config.calibration = read_calibration(*value);
  if (const auto value = member(document, "training")) {
    for (const auto& [key, fact] : value->members()) config.training.emplace_back(key, setting_text(fact));
  }
  if (mode) options.mode = *mode;
  options = completed(std::move(options), *target, where);
  return config;
}

nlohmann::ordered_json to_json(const QuantizerConfig& config) {
  const QuantizerOptions& options = config.options;
  nlohmann::ordered_json json;
  json["version"] = kConfigVersion;
  json["target"] = options.target;
  json["qat"] = options.mode == QuantizationMode::kQat;
  if (!options.scheme.empty()) json["scheme"] = options.scheme;
  for (const auto& [name, value] : options.settings) json[name] = value;
  if (!options.without_passes.empty()) json["without_passes"] = options.without_passes;
  json["overrides"] = nlohmann::ordered_json::array();
  for (const Override& choice : options.overrides) {
    nlohmann::ordered_json object;
    if (!choice.module.empty()) object["module"] = choice.module;
    if (!choice.op.empty()) object["op"] = choice.op;
    if (choice.quantize) object["quantize"] = *choice.quantize;
    if (!choice.scheme.empty()) object["scheme"] = choice.scheme;
    if (!choice.activation_observer.empty()) object["activation_observer"] = choice.activation_observer;
    if (!choice.weight_observer.empty()) object["weight_observer"] = choice.weight_observer;
    json["overrides"].push_back(std::move(object));
  }
  if (config.calibration) {
    json["calibration"] = {{"data", config.calibration->data},
                           {"samples", config.calibration->samples},
                           {"batch_size", config.calibration->batch_size},
                           {"seed", config.calibration->seed}};
    if (config.calibration->pictures != PictureFacts()) {
      json["calibration"]["pictures"] = to_json(config.calibration->pictures);
    }
  }
  for (const auto& [flag, value] : config.training) json["training"][flag] = value;
  return json;
}

}  // namespace octet::targets
