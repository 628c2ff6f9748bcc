#include "octet/integer/parts.h"

#include <algorithm>
#include <array>
#include <vector>

#include "octet/kernels/crew.h"
#include "octet/kernels/parallel.h"

namespace octet::integer {
namespace {

constexpr int64_t kWorthThreads = 1 << 18;  // operations: three to five microseconds, several times a hand-over
constexpr int64_t kChunksOfShare = 4;       // so that a thread that is held up leaves some to the others

}  // namespace

void for_parts(int64_t count, int64_t operations, const std::function<void(int64_t, int64_t)>& work, int64_t unit) {
  const int crew = threads();
  if (operations < kWorthThreads || crew == 1 || in_parallel_region()) {
    work(0, count);
    return;
  }
  const int64_t units = (count + unit - 1) / unit, chunks = crew * kChunksOfShare;
  share_out(units, std::max<int64_t>((units + chunks - 1) / chunks, 1), crew,
            [&](int64_t begin, int64_t end) { work(begin * unit, std::min(end * unit, count)); });
}

uint8_t* own_memory(int64_t bytes, OwnMemory use) {
  constexpr int64_t kLine = 64;
  thread_local std::array<std::vector<uint8_t>, 2> memories;
  auto& memory = memories[static_cast<size_t>(use)];
  const int64_t wanted = bytes + kReadAhead + kLine;
  if (static_cast<int64_t>(memory.size()) < wanted) memory.resize(static_cast<size_t>(wanted));
  const auto at = reinterpret_cast<uintptr_t>(memory.data());
  return memory.data() + (kLine - at % kLine) % kLine;
}

}  // namespace octet::integer
