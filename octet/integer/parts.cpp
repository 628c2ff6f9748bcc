#include "octet/integer/parts.h"

#include <vector>

#include "octet/kernels/parallel.h"

namespace octet::integer {
namespace {

constexpr int64_t kWorthThreads = 1 << 20;  // operations: ten to twenty microseconds, about what waking a thread takes

}  // namespace

void for_parts(int64_t count, int64_t operations, const std::function<void(int64_t, int64_t)>& work) {
  if (operations < kWorthThreads || in_parallel_region()) {
    work(0, count);
    return;
  }
  const int64_t part = (count + threads() - 1) / threads();
  parallel_for(0, count, part, work);
}

uint8_t* own_memory(int64_t bytes) {
  thread_local std::vector<uint8_t> memory;
  if (static_cast<int64_t>(memory.size()) < bytes + kReadAhead) memory.resize(static_cast<size_t>(bytes + kReadAhead));
  return memory.data();
}

}  // namespace octet::integer
