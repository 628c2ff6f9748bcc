#include "octet/support/memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

#include "octet/support/sanitizer.h"

namespace octet {
namespace {

constexpr uint64_t kLeast = uint64_t{1} << 30;  // what a program gets, whatever the system says

// The number behind a name in a file of the system.
std::optional<uint64_t> number_in(const char* file, const std::string& name) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    uint64_t value = 0;
    if (word == name && in >> value) return value;
  }
  return std::nullopt;
}

std::optional<uint64_t> number_in(const char* file) {
  std::ifstream in(file);
  uint64_t value = 0;
  return in >> value ? std::optional(value) : std::nullopt;  // "max" is none
}

}  // namespace

uint64_t peak_memory() {
  rusage used{};
  constexpr uint64_t kKilobyte = 1024;
  return getrusage(RUSAGE_SELF, &used) == 0 ? static_cast<uint64_t>(used.ru_maxrss) * kKilobyte : 0;
}

uint64_t available_memory() {
  const uint64_t machine = number_in("/proc/meminfo", "MemAvailable:").value_or(0) << 10;
  const auto most = number_in("/sys/fs/cgroup/memory.max");
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (!most || !used) return machine;
  const uint64_t cached = number_in("/sys/fs/cgroup/memory.stat", "file").value_or(0);  // given back when asked for
  const uint64_t held = *used - std::min(*used, cached);
  const uint64_t group = *most - std::min(*most, held);
  return machine == 0 ? group : std::min(machine, group);
}

void limit_memory_to_available() {
  if (kAddressSanitizer) return;
  const auto held = number_in("/proc/self/status", "VmData:");
  const uint64_t available = available_memory();
  struct rlimit limit {};
  if (!held || available == 0 || getrlimit(RLIMIT_DATA, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_cur, (*held << 10) + std::max(available, kLeast));
  setrlimit(RLIMIT_DATA, &limit);
}

}  // namespace octet
