#include "octet/kernels/crew.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "octet/kernels/parallel.h"
#include "octet/kernels/share.h"

namespace octet {
namespace {

using Work = std::function<void(int64_t, int64_t)>;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

class Crew {
 public:
  // False where another call is at it.
  bool share(int64_t count, int64_t chunk, int threads, const Work& work) {
    if (busy_.exchange(true)) return false;  // also a call from within
    const Free free(busy_);
    prepare(threads);
    work_ = &work;
    chunk_ = chunk;
    count_ = threads;
    for (int i = 0; i < threads; ++i) {
      shares_[i].next.store(count * i / threads, std::memory_order_relaxed);
      shares_[i].end = count * (i + 1) / threads;
    }
    failure_ = nullptr;
    const uint32_t open = call_.load() + 1;
    call_.store(open);
    call_.notify_all();
    take_chunks(0);
    call_.store(open + 1);  // who comes late finds nothing
    for (int64_t i = 0; inside_.load() != 0; ++i) {
      pause();
      if (i > 1000) std::this_thread::yield();
    }
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    return true;
  }

 private:
  class Free {
   public:
    explicit Free(std::atomic<bool>& busy) : busy_(busy) {}
    ~Free() { busy_.store(false); }
    Free(const Free&) = delete;
    Free& operator=(const Free&) = delete;

   private:
    std::atomic<bool>& busy_;
  };

  // Nobody is inside.
  void prepare(int threads) {
    if (threads > room_) {
      shares_ = std::make_unique<Share[]>(static_cast<size_t>(threads));
      room_ = threads;
    }
    try {
      for (; workers_ + 1 < threads; ++workers_) {
        std::thread([this, me = workers_ + 1] { stand_by(me); }).detach();
      }
    } catch (const std::system_error&) {  // the system gives no more: those that are there take all shares
    }
  }

  void stand_by(int me) {
    const SingleThreaded single;
    uint32_t seen = 0;
    while (true) {
      seen = next_call(seen);
      inside_.fetch_add(1);
      // As long as this one is inside, no other call changes what it reads.
      if (call_.load() == seen && me < count_) take_chunks(me);
      inside_.fetch_sub(1);
    }
  }

  // The number of a call that is open, and not `seen`.
  uint32_t next_call(uint32_t seen) const {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::microseconds kWatchful(200);
    Clock::time_point end = Clock::now() + kWatchful;
    while (true) {
      for (int i = 0; i < 64; ++i) {
        const uint32_t now = call_.load();
        if (now % 2 == 1 && now != seen) return now;
        pause();
      }
      if (Clock::now() < end) continue;
      const uint32_t now = call_.load();
      if (now % 2 == 0 || now == seen) call_.wait(now);
      end = Clock::now() + kWatchful;
    }
  }

  void take_chunks(int me) {
    try {
      using Clock = std::chrono::steady_clock;
      const Clock::time_point start = Clock::now();
      shares_[me].take_all(chunk_, 0, *work_);
      // To help moves work away from where its data lie: only those who are late.
      const Clock::time_point own_end = Clock::now(), grace = own_end + (own_end - start) / kGrace;
      while (Clock::now() < grace && any_left()) pause();
      for (int i = 1; i < count_; ++i) shares_[(me + i) % count_].take_all(chunk_, 0, *work_);
    } catch (...) {
      const std::lock_guard lock(failing_);
      failure_ = std::current_exception();
    }
  }

  bool any_left() const {
    return std::any_of(shares_.get(), shares_.get() + count_, [](const Share& share) { return !share.is_empty(); });
  }

  static constexpr int kGrace = 8;  // that part of one's own time
  std::atomic<bool> busy_ = false;
  std::mutex failing_;
  std::atomic<uint32_t> call_ = 0;  // odd: chunks may be taken
  std::atomic<int> inside_ = 0;     // workers that may take some
  int workers_ = 0, room_ = 0;
  std::unique_ptr<Share[]> shares_;
  // Of the call.
  const Work* work_ = nullptr;
  int64_t chunk_ = 1;
  int count_ = 0;
  std::exception_ptr failure_;
};

std::atomic<Crew*> crew_of_process{nullptr};

// A forked process has none of the threads, and what they were at is never done: it begins with a crew of its own. The
// one before outlives its threads, which nobody stops.
Crew* start_crew() {
  crew_of_process.store(new Crew);
  pthread_atfork(nullptr, nullptr, [] { crew_of_process.store(new Crew); });
  return crew_of_process.load();
}

Crew& crew() {
  static Crew* const first = start_crew();
  static_cast<void>(first);
  return *crew_of_process.load();
}

}  // namespace

void share_out(int64_t count, int64_t chunk, int threads, const Work& work) {
  if (count <= 0) return;
  const SingleThreaded single;
  if (threads < 2 || count <= chunk || !crew().share(count, chunk, threads, work)) work(0, count);
}

}  // namespace octet
