#include "octet/kernels/crew.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "octet/kernels/parallel.h"

namespace octet {
namespace {

TEST(Crew, EveryPieceOnceOnSeveralThreads) {
  at::set_num_threads(3);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::vector<int> visits(1000, 0);
  const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  share_out(1000, 7, 3, [&](int64_t begin, int64_t end) {
    EXPECT_LE(end - begin, 7);
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    // Nobody can take all of it before the others are awake.
    for (size_t seen = 0; seen < 3 && std::chrono::steady_clock::now() < late;) {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
      seen = threads.size();
    }
  });
  EXPECT_EQ(threads.size(), 3u);
  EXPECT_EQ(visits, std::vector<int>(1000, 1));
}

// More chunks than a share holds, over and over: shares end at different times, threads help each other.
TEST(Crew, ManyCallsInARow) {
  for (int64_t count = 0; count < 600; ++count) {
    std::vector<int> visits(static_cast<size_t>(count), 0);
    share_out(count, 1 + count % 5, 2 + static_cast<int>(count % 3), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    ASSERT_EQ(visits, std::vector<int>(static_cast<size_t>(count), 1));
  }
}

TEST(Crew, InsideThereIsOneThread) {
  at::set_num_threads(2);
  share_out(16, 1, 2, [](int64_t, int64_t) {
    EXPECT_EQ(threads(), 1);
    parallel_for(0, 100, 1, [](int64_t begin, int64_t end) { EXPECT_EQ(end - begin, 100); });
    int64_t pieces = 0;
    share_out(8, 1, 2, [&](int64_t begin, int64_t end) { pieces += end - begin; });
    EXPECT_EQ(pieces, 8);
  });
  EXPECT_EQ(threads(), 2);
}

TEST(Crew, ExceptionsReachTheCallerAndTheNextCallWorks) {
  const auto fails_late = [](int64_t, int64_t end) {
    if (end == 100) throw std::runtime_error("the last piece fails");
  };
  EXPECT_THROW(share_out(100, 1, 2, fails_late), std::runtime_error);
  int64_t sum = 0;
  share_out(100, 100, 2, [&](int64_t begin, int64_t end) { sum += end - begin; });
  EXPECT_EQ(sum, 100);
}

// In a process of its own, whose memory holds no further thread's stack.
TEST(Crew, ThreadsThatTheSystemDoesNotGiveAreDoneWithout) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto short_of_memory = [] {
    struct rlimit limit {};
    limit.rlim_cur = limit.rlim_max = 1;  // nothing more
    setrlimit(RLIMIT_AS, &limit);
    std::array<int, 100> visits{};
    share_out(100, 1, 60, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    _exit(std::all_of(visits.begin(), visits.end(), [](int each) { return each == 1; }) ? 0 : 1);
  };
  EXPECT_EXIT(short_of_memory(), testing::ExitedWithCode(0), "");
}

TEST(Crew, CallersAtTheSameTime) {
  std::vector<std::thread> callers;
  std::vector<std::vector<int>> visits(4, std::vector<int>(500, 0));
  for (size_t caller = 0; caller < visits.size(); ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 50; ++round) {
        share_out(500, 9, 2, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++visits[caller][static_cast<size_t>(i)];
        });
      }
    });
  }
  for (std::thread& each : callers) each.join();
  for (const std::vector<int>& each : visits) EXPECT_EQ(each, std::vector<int>(500, 50));
}

// A process that is forked while a call is under way has none of its threads, and a crew of its own.
TEST(Crew, AForkedProcessHasItsOwn) {
  std::atomic<bool> under_way = false, over = false;
  std::thread caller([&] {
    share_out(2, 1, 2, [&](int64_t, int64_t) {
      under_way = true;
      while (!over) std::this_thread::yield();
    });
  });
  while (!under_way) std::this_thread::yield();
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<int> inside = 0;
    const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    share_out(2, 1, 2, [&](int64_t, int64_t) {
      ++inside;
      while (inside < 2 && std::chrono::steady_clock::now() < late) std::this_thread::yield();
    });
    _exit(std::chrono::steady_clock::now() < late ? 0 : 1);  // a piece waits for the other
  }
  over = true;
  caller.join();
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace octet
