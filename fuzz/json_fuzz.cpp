#include "fuzz/fuzz.h"
#include "octet/formats/json.h"

namespace {

using octet::JsonCursor;
using octet::fuzz::only_errors;

// Every typed read of every value.
void walk(const JsonCursor& value) {
  only_errors([&] { value.to_int(); });
  only_errors([&] { value.to_double(); });
  only_errors([&] { value.to_bool(); });
  only_errors([&] { value.to_string(); });
  only_errors([&] { value.to_ints(); });
  if (value.json().is_array()) {
    for (const JsonCursor& element : value.elements()) walk(element);
  } else if (value.json().is_object()) {
    for (const auto& [key, member] : value.members()) walk(value.has(key) ? value.at(key) : member);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return only_errors([&] {
    const nlohmann::json document = octet::parse_json(octet::fuzz::view(data, size), "input");
    walk(JsonCursor(document, "input"));
  });
}
