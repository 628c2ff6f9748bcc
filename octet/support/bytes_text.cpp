#include "octet/support/bytes_text.h"

#include <cstdio>

namespace octet {

std::string bytes_text(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KB", "MB", "GB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000.0 && unit < 3) {
    value /= 1000.0;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f %s", unit == 0 ? 0 : 1, value, kUnits[unit]);
  return text;
}

}  // namespace octet
