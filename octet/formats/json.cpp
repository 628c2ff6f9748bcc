#include "octet/formats/json.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

// What a document takes as nlohmann::json, over-estimated: values in a vector that doubles, and their places in the
// list by which they are destroyed; nodes of a map; texts on the heap. Contents of texts are counted by the text
// itself.
constexpr uint64_t kValueBytes = 40;
constexpr uint64_t kArrayBytes = 32;
constexpr uint64_t kObjectBytes = 64;
constexpr uint64_t kMemberBytes = 96;
constexpr uint64_t kTextBytes = 48;

// The memory of a document without making it; right for as much of the text as is JSON.
uint64_t memory_of(std::string_view text, const std::string& where, size_t max_depth) {
  uint64_t values = 1, arrays = 0, objects = 0, members = 0, texts = 0;
  size_t depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case '"':
        ++texts;
        for (++i; i < text.size() && text[i] != '"'; ++i) i += text[i] == '\\' ? 1 : 0;
        break;
      case '[':
      case '{':
        if (++depth > max_depth) throw Error(where, str("is nested deeper than ", max_depth, " levels"));
        ++(text[i] == '[' ? arrays : objects);
        break;
      case ']':
      case '}':
        depth -= depth > 0 ? 1 : 0;
        break;
      case ',':
        ++values;
        break;
      case ':':
        ++members;
        break;
      default:
        break;
    }
  }
  return text.size() + kValueBytes * (values + arrays) + kArrayBytes * arrays + kObjectBytes * objects +
         kMemberBytes * members + kTextBytes * (texts - std::min(members, texts));
}

// Builds the document as the parser reads it.
class DocumentBuilder final : public json::json_sax_t {
 public:
  explicit DocumentBuilder(const std::string& where) : where_(where) {}
  json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(json(value)); }  // a copy: the lexer's own has room to spare
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    const auto [member, fresh] = open_.back()->get_ref<json::object_t&>().emplace(name, nullptr);
    if (!fresh) throw Error(where_, "the key " + shortened(member->first) + " stands twice in one object");
    member_ = &member->second;
    return true;
  }
  bool parse_error(size_t, const std::string&, const json::exception& error) override {
    throw Error(where_, str("is no valid JSON: ", error.what()));
  }

 private:
  json& place(json value) {
    json& at = open_.empty()              ? root_
               : open_.back()->is_array() ? open_.back()->get_ref<json::array_t&>().emplace_back()
                                          : *member_;
    at = std::move(value);
    return at;
  }
  bool put(json value) {
    place(std::move(value));
    return true;
  }
  bool open(json value) {
    open_.push_back(&place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& where_;
  json root_;
  std::vector<json*> open_;
  json* member_ = nullptr;  // whose value comes next
};

}  // namespace

json parse_json(std::string_view text, const std::string& where, Budget& budget, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    throw Error(where, str("is too large: ", text.size(), " bytes of JSON, at most ", limits.max_bytes, " expected"));
  }
  budget.charge(memory_of(text, where, limits.max_depth), "its JSON");
  DocumentBuilder builder(where);
  json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits) {
  Budget budget(where, text.size());
  return parse_json(text, where, budget, limits);
}

JsonCursor::JsonCursor(const nlohmann::json& value, std::string where) : value_(&value) {
  own_ = std::make_shared<Step>(Step{nullptr, nullptr, 0, std::move(where)});
}

std::shared_ptr<const JsonCursor::Step> JsonCursor::step() const {
  if (!own_) own_ = std::make_shared<Step>(Step{parent_, key_, index_, ""});
  return own_;
}

std::string JsonCursor::where() const {
  std::vector<const Step*> steps;
  const std::shared_ptr<const Step> last = step();
  for (const Step* at = last.get(); at != nullptr; at = at->up.get()) steps.push_back(at);
  std::string path;
  for (size_t i = steps.size() - 1; i-- > 0;) {
    if (steps[i]->key == nullptr) {
      path += "[" + std::to_string(steps[i]->index) + "]";
    } else {
      path += (path.empty() ? "" : ".") + *steps[i]->key;
    }
  }
  return path.empty() ? steps.back()->name : steps.back()->name + ": " + path;
}

JsonCursor JsonCursor::at(const std::string& key) const {
  if (!value_->is_object()) mismatch("an object");
  const auto& object = value_->get_ref<const json::object_t&>();
  const auto found = object.find(key);
  if (found == object.end()) throw Error(where(), "the field '" + key + "' is missing");
  return {found->second, step(), &found->first, 0};
}

bool JsonCursor::has(const std::string& key) const {
  if (!value_->is_object()) mismatch("an object");
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

JsonCursor::Elements JsonCursor::elements() const {
  if (!value_->is_array()) mismatch("an array");
  return {*value_, step()};
}

JsonCursor::Members JsonCursor::members() const {
  if (!value_->is_object()) mismatch("an object");
  return {value_->get_ref<const json::object_t&>(), step()};
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

const std::string& JsonCursor::to_string() const {
  if (!value_->is_string()) mismatch("a string");
  return value_->get_ref<const std::string&>();
}

std::vector<int64_t> JsonCursor::to_ints() const {
  std::vector<int64_t> ints;
  ints.reserve(elements().size());
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
