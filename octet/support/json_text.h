#pragma once
// Internal to octet: what is written as JSON holds names of files, which need not be UTF-8.

#include <nlohmann/json.hpp>
#include <string>

namespace octet {

/// The document as text; what is no UTF-8 in it becomes U+FFFD, the sign for a character that is not known. Without
/// `indent` in one line. nlohmann::json and its ordered form.
template <typename Json>
std::string json_text(const Json& document, int indent = -1) {
  return document.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace octet
