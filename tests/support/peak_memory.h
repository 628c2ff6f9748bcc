#pragma once

#include <malloc.h>

#include <cstdint>
#include <fstream>
#include <functional>
#include <string>

#include "octet/support/sanitizer.h"

namespace octet::test {

/// A line of /proc/self/status in bytes: "VmRSS", "VmHWM".
inline uint64_t process_memory(const std::string& what) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(what + ":", 0) == 0) return std::stoull(line.substr(what.size() + 1)) << 10;
  }
  return 0;
}

/// Bytes by which the process grew while `action` ran, at its highest. 0 where the system does not tell, and under the
/// address sanitizer, which keeps what was freed.
inline uint64_t peak_memory_of(const std::function<void()>& action) {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // the highest mark is where we stand
  const uint64_t before = process_memory("VmRSS");
  action();
  const uint64_t peak = process_memory("VmHWM");
  return peak > before && !kAddressSanitizer ? peak - before : 0;
}

/// Bytes that are allocated on the heap.
inline uint64_t heap_in_use() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace octet::test
