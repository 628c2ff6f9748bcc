#include "octet/targets/engine/config_file.h"

#include <functional>
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

// ---- how samples were made: a row a fact --------------------------------------------------------------------------

constexpr const char* kPictures = "pictures";
constexpr const char* kSounds = "sounds";

// What a fact's JSON becomes; throws octet::Error for values that it can't have.
template <typename Value>
using Read = std::function<Value(const JsonCursor& value)>;

Read<int64_t> at_least(int64_t least) {
  return [least](const JsonCursor& value) {
    if (value.to_int() < least)
      throw Error(value.where(), octet::str("expected ", least, " or more, got ", value.to_int()));
    return value.to_int();
  };
}

Read<double> between(double low, double high) {
  return [low, high](const JsonCursor& value) { return within(value, low, high); };
}

Read<std::string> one_of(std::vector<std::string> names) {
  return [names = std::move(names)](const JsonCursor& value) {
    const std::string read = value.to_string();
    if (std::find(names.begin(), names.end(), read) == names.end()) {
      const std::string all =
          join(", ", std::vector<std::string>(names.begin(), names.end() - 1)) + " or " + names.back();
      throw Error(value.where(), octet::str("expected ", all, ", got '", read, "'"));
    }
    return read;
  };
}

Read<std::vector<double>> numbers(double low, const char* wanted, size_t count = 0) {
  return [=](const JsonCursor& value) {
    std::vector<double> read;
    for (const JsonCursor& element : value.elements()) read.push_back(within(element, low, 1e6));
    if (read.empty()) throw Error(value.where(), octet::str("expected ", wanted, ", got none"));
    if (count > 0 && read.size() != count) {
      throw Error(value.where(), octet::str("expected ", wanted, ", got ", read.size(), " numbers"));
    }
    return read;
  };
}

// A member of SampleFacts: how it is read, written, and taken from elsewhere where it is not said.
struct Fact {
  const char* key;
  bool of_pictures, of_sounds;
  std::function<void(const JsonCursor& value, SampleFacts& facts)> read;
  std::function<void(const SampleFacts& facts, nlohmann::ordered_json& json)> write;
  std::function<void(SampleFacts& facts, const SampleFacts& otherwise)> settle;

  bool is_of(const std::string& section) const { return section == kPictures ? of_pictures : of_sounds; }
};

template <typename Value>
Fact fact(const char* key, bool of_pictures, bool of_sounds, std::optional<Value> SampleFacts::*member,
          Read<Value> read) {
  return {key,
          of_pictures,
          of_sounds,
          [=](const JsonCursor& value, SampleFacts& facts) { facts.*member = read(value); },
          [=](const SampleFacts& facts, nlohmann::ordered_json& json) {
            if (facts.*member) json[key] = *(facts.*member);
          },
          [=](SampleFacts& facts, const SampleFacts& otherwise) {
            if (!(facts.*member)) facts.*member = otherwise.*member;
          }};
}

Fact fact(const char* key, bool of_pictures, bool of_sounds, std::vector<double> SampleFacts::*member,
          Read<std::vector<double>> read) {
  return {key,
          of_pictures,
          of_sounds,
          [=](const JsonCursor& value, SampleFacts& facts) { facts.*member = read(value); },
          [=](const SampleFacts& facts, nlohmann::ordered_json& json) {
            if (!(facts.*member).empty()) json[key] = facts.*member;
          },
          [=](SampleFacts& facts, const SampleFacts& otherwise) {
            if ((facts.*member).empty()) facts.*member = otherwise.*member;
          }};
}

const std::vector<Fact>& facts_of_samples() {
  constexpr double kMostMs = 1e8;
  static const std::vector<Fact> rows = {
      fact("resize", true, false, &SampleFacts::resize, at_least(1)),
      fact("filter", true, false, &SampleFacts::filter, one_of({"bilinear", "bicubic"})),
      fact("features", false, true, &SampleFacts::features, one_of({"mfcc", "logmel", "lfbe", "samples"})),
      fact("rate", false, true, &SampleFacts::rate, at_least(1)),
      fact("window_ms", false, true, &SampleFacts::window_ms, between(0, kMostMs)),
      fact("stride_ms", false, true, &SampleFacts::stride_ms, between(0, kMostMs)),
      fact("bands", false, true, &SampleFacts::bands, at_least(1)),
      fact("coefficients", false, true, &SampleFacts::coefficients, at_least(1)),
      fact("mel_range", false, true, &SampleFacts::mel_range, numbers(0, "the least and the greatest Hz", 2)),
      fact("clip_ms", false, true, &SampleFacts::clip_ms, between(0, kMostMs)),
      fact("hop_ms", false, true, &SampleFacts::hop_ms, between(0, kMostMs)),
      fact("part_ms", false, true, &SampleFacts::part_ms, numbers(0, "from and to", 2)),
      fact("time_last", false, true, &SampleFacts::time_last,
           Read<bool>([](const JsonCursor& value) { return value.to_bool(); })),
      fact("mean", true, true, &SampleFacts::mean, numbers(-1e6, "a number a channel")),
      fact("std", true, true, &SampleFacts::std, numbers(1e-6, "a number a channel")),
      fact("held_out", true, true, &SampleFacts::held_out, between(0, 1)),
  };
  return rows;
}

void read_samples_made(const JsonCursor& object, const std::string& section, SampleFacts& facts) {
  std::vector<std::string> keys;
  for (const Fact& row : facts_of_samples()) {
    if (row.is_of(section)) keys.emplace_back(row.key);
  }
  check_keys(object, keys);
  for (const Fact& row : facts_of_samples()) {
    if (!row.is_of(section)) continue;
    if (const auto value = member(object, row.key)) row.read(*value, facts);
  }
}

nlohmann::ordered_json to_json(const SampleFacts& facts, const std::string& section) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const Fact& row : facts_of_samples()) {
    if (row.is_of(section)) row.write(facts, json);
  }
  return json;
}

CalibrationFacts read_calibration(const JsonCursor& object) {
  check_keys(object, {"data", "samples", "batch_size", "seed", kPictures, kSounds});
  CalibrationFacts facts;
  facts.data = filled(object.at("data"));
  if (const auto value = member(object, "samples")) facts.samples = not_negative(*value);
  if (const auto value = member(object, "batch_size")) facts.batch_size = not_negative(*value);
  if (const auto value = member(object, "seed")) facts.seed = static_cast<uint64_t>(not_negative(*value));
  for (const char* section : {kPictures, kSounds}) {
    if (const auto value = member(object, section)) read_samples_made(*value, section, facts.made);
  }
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

SampleFacts settled(SampleFacts facts, const SampleFacts& otherwise) {
  for (const Fact& row : facts_of_samples()) row.settle(facts, otherwise);
  return facts;
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
    const char* section = config.calibration->data.starts_with("audio:") ? kSounds : kPictures;
    const nlohmann::ordered_json made = to_json(config.calibration->made, section);
    if (!made.empty()) json["calibration"][section] = made;
  }
  for (const auto& [flag, value] : config.training) json["training"][flag] = value;
  return json;
}

}  // namespace octet::targets
