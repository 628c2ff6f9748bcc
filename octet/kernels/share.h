#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace octet {

/// What is left of one thread's pieces of a loop. The thread takes some at a time, and so does who is done with its
/// own: a thread that is held up leaves the rest to the others.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;

  bool is_empty() const { return next.load(std::memory_order_relaxed) >= end; }

  /// work(begin, end) of `least` pieces at a time until none are left; where `part` is given, of a part-th of what is
  /// left while that is more: few calls, and small ones at the end.
  template <typename Work>
  void take_all(int64_t least, int64_t part, const Work& work) {
    int64_t at = next.load(std::memory_order_relaxed);
    while (at < end) {
      const int64_t count = std::min(end - at, std::max(least, part == 0 ? 0 : (end - at) / part));
      if (!next.compare_exchange_weak(at, at + count)) continue;
      work(at, at + count);
      at = next.load(std::memory_order_relaxed);
    }
  }
};

}  // namespace octet
