#pragma once

#include <cstdint>
#include <functional>

namespace octet {

/// Calls work(begin, end) for parts of [begin, end) on as many threads as at::set_num_threads says, where there are
/// more than `grain` pieces; inside another such call, and for few pieces, on this thread. An exception of any part
/// reaches the caller.
///
/// at::parallel_for runs on one thread in code that is not compiled with OpenMP, without a word: this is the one place
/// that is.
void parallel_for(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)>& work);

/// Into how many parts a sum over `rows` rows is cut, each with `sums` numbers of its own to which a row adds one
/// product each. It goes by the work alone: more parts than threads, so that a thread that is held up leaves some to
/// the others, and the same order of additions on any number of them.
int64_t parts_of_sum(int64_t rows, int64_t sums);

/// Threads that it runs on, as at::set_num_threads says.
int threads();

/// While it lives, parallel_for on this thread runs on it alone, and so do ATen's operators; threads() is 1.
class SingleThreaded {
 public:
  SingleThreaded();
  ~SingleThreaded();
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int before_ = 1;
};

/// True inside a part of a parallel_for that runs on several threads.
bool in_parallel_region();

}  // namespace octet
