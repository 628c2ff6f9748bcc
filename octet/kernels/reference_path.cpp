#include "octet/kernels/reference_path.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

namespace octet {
namespace {

std::atomic<bool>& flag() {
  static std::atomic<bool> on = [] {
    const char* wanted = std::getenv("OCTET_REFERENCE");
    return wanted != nullptr && std::string_view(wanted) == "1";
  }();
  return on;
}

}  // namespace

bool reference_path() { return flag().load(std::memory_order_relaxed); }
void set_reference_path(bool on) { flag().store(on, std::memory_order_relaxed); }

}  // namespace octet
