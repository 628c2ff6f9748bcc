#include "octet/support/error.h"

namespace octet {
namespace {

constexpr size_t kMaxMessage = 2000;
constexpr size_t kKeptEnd = 500;

// Names of a file's parts stand in messages: what would break the line or steer a terminal must not come through, and
// not all of a name of megabytes.
std::string readable(std::string message) {
  for (char& c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = c == '\n' || c == '\t' ? ' ' : '?';
  }
  if (message.size() <= kMaxMessage) return message;
  const auto character_at = [&](size_t at) {  // the beginning of the UTF-8 character
    while (at > 0 && (static_cast<unsigned char>(message[at]) & 0xc0) == 0x80) --at;
    return at;
  };
  const size_t front = character_at(kMaxMessage - kKeptEnd);
  return message.substr(0, front) + " ... " + message.substr(character_at(message.size() - kKeptEnd));
}

std::string with_place(const std::string& where, const std::string& message) {
  return readable(where.empty() ? message : "[" + where + "] " + message);
}

}  // namespace

Error::Error(const std::string& where, const std::string& message, ErrorCategory category)
    : std::runtime_error(with_place(where, message)), where_(where), category_(category) {}

Error Error::hint(const std::string& way_out) const {
  Error copy("", std::string(what()) + "; " + way_out, category_);
  copy.where_ = where_;
  return copy;
}

Error Error::as(ErrorCategory category) const {
  Error copy(*this);
  copy.category_ = category;
  return copy;
}

Error expected(const std::string& where, const std::string& what, const std::string& wanted, const std::string& got) {
  return Error(where, str(what, ": expected ", wanted, ", got ", got));
}

}  // namespace octet
