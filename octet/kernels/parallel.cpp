#include "octet/kernels/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "octet/kernels/share.h"

namespace octet {

void parallel_for(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)>& work) {
  constexpr int64_t kPart = 4;  // of what is left
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
        shares[static_cast<size_t>((me + turn) % workers)].take_all((grain + 1) / 2, kPart, work);
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
