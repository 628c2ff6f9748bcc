#include "octet/kernels/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace octet {
namespace {

// What is left of a thread's pieces. It takes a part of them at a time, ever smaller ones: a thread that is held up
// leaves the rest to those who are done.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;

  bool take(int64_t least, int64_t* first, int64_t* last) {
    constexpr int64_t kPart = 4;
    int64_t at = next.load(std::memory_order_relaxed);
    while (at < end) {
      const int64_t count = std::min(end - at, std::max(least, (end - at) / kPart));
      if (next.compare_exchange_weak(at, at + count)) {
        *first = at;
        *last = at + count;
        return true;
      }
    }
    return false;
  }
};

}  // namespace

void parallel_for(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)>& work) {
  const int64_t count = end - begin;
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t workers = in_parallel_region() ? 1 : std::min<int64_t>(threads(), (count + grain - 1) / grain);
  if (workers <= 1) return work(begin, end);
  std::vector<Share> shares(static_cast<size_t>(workers));
  for (int64_t i = 0; i < workers; ++i) {
    shares[static_cast<size_t>(i)].next = begin + count * i / workers;
    shares[static_cast<size_t>(i)].end = begin + count * (i + 1) / workers;
  }
  at::parallel_for(0, workers, 1, [&](int64_t me, int64_t beyond) {
    for (; me < beyond; ++me) {
      for (int64_t turn = 0; turn < workers; ++turn) {
        Share& share = shares[static_cast<size_t>((me + turn) % workers)];
        for (int64_t first = 0, last = 0; share.take((grain + 1) / 2, &first, &last);) work(first, last);
      }
    }
  });
}

int64_t parts_of_sum(int64_t rows, int64_t sums) {
  constexpr int64_t kMost = 16;
  constexpr int64_t kProducts = 1 << 17;  // of a part
  constexpr int64_t kRows = 256;          // of a part: its sums are cleared and added up once
  return std::clamp<int64_t>(std::min(rows * sums / kProducts, rows / kRows), 1, kMost);
}

int threads() { return at::get_num_threads(); }

// Of this thread alone, where at::set_num_threads speaks for those to come too. A thread's first parallel_for sets the
// number, once in libtorch, once in octet: that comes first.
SingleThreaded::SingleThreaded() {
  at::internal::lazy_init_num_threads();
  before_ = threads();
#ifdef _OPENMP
  omp_set_num_threads(1);
#endif
}

SingleThreaded::~SingleThreaded() {
#ifdef _OPENMP
  omp_set_num_threads(before_);
#endif
}

bool in_parallel_region() {
#ifdef _OPENMP
  return omp_in_parallel() != 0;
#else
  return false;
#endif
}

}  // namespace octet
