#include "octet/kernels/parallel.h"

#include <ATen/Parallel.h>

namespace octet {

void parallel_for(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)>& work) {
  at::parallel_for(begin, end, grain, work);
}

int threads() { return at::get_num_threads(); }

bool in_parallel_region() {
#ifdef _OPENMP
  return omp_in_parallel() != 0;
#else
  return false;
#endif
}

}  // namespace octet
