#include "octet/support/text.h"

#include <cstdio>

namespace octet::text_detail {

void append(std::string& text, int64_t number) { text += std::to_string(number); }

void append(std::string& text, uint64_t number) { text += std::to_string(number); }

void append(std::string& text, double number) {
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%g", number);
  text += digits;
}

}  // namespace octet::text_detail
