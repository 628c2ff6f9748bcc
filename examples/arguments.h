#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdlib>

/// Argument `index` as a number of at least `low`; `missing` where it is not given. False where it is no such number.
inline bool number_argument(int argc, char** argv, int index, int64_t low, int64_t missing, int64_t& value) {
  value = missing;
  if (index >= argc) return true;
  char* end = nullptr;
  errno = 0;
  value = std::strtoll(argv[index], &end, 10);
  return errno == 0 && end != argv[index] && *end == '\0' && value >= low;
}
