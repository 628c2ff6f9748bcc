#include "octet/kernels/parallel.h"

#include <ATen/Parallel.h>

namespace octet {

void parallel_for(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)>& work) {
  at::parallel_for(begin, end, grain, work);
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
