#include "octet/formats/json.h"

#include <cmath>
#include <limits>
#include <unordered_set>

#include "octet/support/error.h"

namespace octet {
namespace {

using nlohmann::json;

std::string shortened(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    throw Error(where, str("is too large: ", text.size(), " bytes of JSON, at most ", limits.max_bytes, " expected"));
  }
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open; empty for arrays
  const auto check = [&](int, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (keys.size() >= limits.max_depth)
          throw Error(where, str("is nested deeper than ", limits.max_depth, " levels"));
        keys.emplace_back();
        break;
      case json::parse_event_t::object_end:
      case json::parse_event_t::array_end:
        keys.pop_back();
        break;
      case json::parse_event_t::key:
        if (!keys.back().insert(parsed.get_ref<const std::string&>()).second) {
          throw Error(where, "the key " + shortened(parsed) + " stands twice in one object");
        }
        break;
      default:
        break;
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::exception& error) {
    throw Error(where, str("is no valid JSON: ", error.what()));
  }
}

JsonCursor JsonCursor::at(const std::string& key) const {
  if (!value_->is_object()) mismatch("an object");
  const auto found = value_->find(key);
  if (found == value_->end()) throw Error(where(), "the field '" + key + "' is missing");
  return JsonCursor(*found, where_, path_.empty() ? key : path_ + "." + key);
}

bool JsonCursor::has(const std::string& key) const {
  if (!value_->is_object()) mismatch("an object");
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

std::vector<JsonCursor> JsonCursor::elements() const {
  if (!value_->is_array()) mismatch("an array");
  std::vector<JsonCursor> cursors;
  cursors.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i) {
    cursors.emplace_back((*value_)[i], where_, path_ + "[" + std::to_string(i) + "]");
  }
  return cursors;
}

std::vector<std::pair<std::string, JsonCursor>> JsonCursor::members() const {
  if (!value_->is_object()) mismatch("an object");
  std::vector<std::pair<std::string, JsonCursor>> cursors;
  for (const auto& [key, member] : value_->items()) {
    cursors.emplace_back(key, JsonCursor(member, where_, path_.empty() ? key : path_ + "." + key));
  }
  return cursors;
}

int64_t JsonCursor::to_int() const {
  if (!value_->is_number_integer()) mismatch("an integer");
  if (value_->is_number_unsigned() && value_->get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
    mismatch("a 64-bit integer");
  }
  return value_->get<int64_t>();
}

double JsonCursor::to_double() const {
  if (value_->is_number()) return value_->get<double>();
  if (value_->is_string()) {
    const std::string& text = value_->get_ref<const std::string&>();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  }
  mismatch("a number");
}

bool JsonCursor::to_bool() const {
  if (!value_->is_boolean()) mismatch("true or false");
  return value_->get<bool>();
}

std::string JsonCursor::to_string() const {
  if (!value_->is_string()) mismatch("a string");
  return value_->get<std::string>();
}

std::vector<int64_t> JsonCursor::to_ints() const {
  std::vector<int64_t> ints;
  for (const JsonCursor& element : elements()) ints.push_back(element.to_int());
  return ints;
}

void JsonCursor::mismatch(const char* wanted) const {
  throw Error(where(), str("expected ", wanted, ", got ", shortened(*value_)));
}

json json_double(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

}  // namespace octet
