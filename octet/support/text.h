#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>

#include "octet/support/api.h"

namespace octet {
namespace text_detail {

OCTET_API void append(std::string& text, int64_t number);
OCTET_API void append(std::string& text, uint64_t number);
/// As a stream writes it: six significant digits.
OCTET_API void append(std::string& text, double number);

template <typename Part>
void append_any(std::string& text, const Part& part) {
  if constexpr (std::is_convertible_v<const Part&, std::string_view>) {
    text += std::string_view(part);
  } else if constexpr (std::is_same_v<Part, char> || std::is_same_v<Part, signed char> ||
                       std::is_same_v<Part, unsigned char>) {
    text += static_cast<char>(part);
  } else if constexpr (std::is_integral_v<Part> && std::is_signed_v<Part>) {
    append(text, static_cast<int64_t>(part));
  } else if constexpr (std::is_integral_v<Part>) {
    append(text, static_cast<uint64_t>(part));
  } else if constexpr (std::is_same_v<Part, float> || std::is_same_v<Part, double>) {
    append(text, static_cast<double>(part));
  } else {
    std::ostringstream out;
    out << part;
    text += out.str();
  }
}

}  // namespace text_detail

/// Joins anything streamable: `str("expected ", n, " inputs")`.
template <typename... Parts>
std::string str(const Parts&... parts) {
  std::string text;
  (text_detail::append_any(text, parts), ...);
  return text;
}

/// The elements of a range with `separator` between them: `join(", ", tensor.shape)`.
template <typename Range>
std::string join(std::string_view separator, const Range& range) {
  std::string text;
  bool first = true;
  for (const auto& each : range) {
    if (!first) text += separator;
    first = false;
    text_detail::append_any(text, each);
  }
  return text;
}

}  // namespace octet
