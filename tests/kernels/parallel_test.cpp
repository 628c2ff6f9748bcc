#include "octet/kernels/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

namespace octet {
namespace {

// Two threads, whatever the machine and OMP_NUM_THREADS say.
class Parallel : public testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(2); }
  void TearDown() override { at::set_num_threads(before_); }
  const int before_ = at::get_num_threads();
};

TEST_F(Parallel, UsesSeveralThreads) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::vector<int> visits(1000, 0);
  std::condition_variable came;
  parallel_for(0, 1000, 1, [&](int64_t begin, int64_t end) {
    EXPECT_TRUE(in_parallel_region());
    std::unique_lock lock(mutex);
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    threads.insert(std::this_thread::get_id());
    came.notify_all();  // who is done takes over what a thread has not begun
    came.wait_for(lock, std::chrono::seconds(10), [&] { return threads.size() == 2; });
  });
  EXPECT_EQ(threads.size(), 2u) << "compiled without OpenMP?";
  EXPECT_EQ(visits, std::vector<int>(1000, 1));
  EXPECT_FALSE(in_parallel_region());
}

TEST_F(Parallel, AThreadThatIsHeldUpLeavesTheRestToTheOthers) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int> visits(1000, 0);
  int64_t done = 0;
  parallel_for(0, 1000, 1, [&](int64_t begin, int64_t end) {
    std::unique_lock lock(mutex);
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    done += end - begin;
    changed.notify_all();
    // Its first pieces keep a thread until all others are done.
    if (begin == 0) {
      EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return done == 1000; }));
    }
  });
  EXPECT_EQ(visits, std::vector<int>(1000, 1));
}

TEST_F(Parallel, SumsAreCutByTheirWorkAlone) {
  const int64_t many = parts_of_sum(100'000, 5000);
  at::set_num_threads(1);
  EXPECT_EQ(parts_of_sum(100'000, 5000), many);
  EXPECT_GT(many, 2);
  EXPECT_EQ(parts_of_sum(100, 1'000'000), 1);
  EXPECT_EQ(parts_of_sum(1'000'000, 0), 1);
}

TEST_F(Parallel, FewPiecesStayOnThisThread) {
  parallel_for(0, 10, 100, [&](int64_t begin, int64_t end) {
    EXPECT_EQ(begin, 0);
    EXPECT_EQ(end, 10);
    EXPECT_FALSE(in_parallel_region());
  });
}

TEST_F(Parallel, ExceptionsReachTheCaller) {
  const auto fails_late = [](int64_t, int64_t end) {
    if (end == 100) throw std::runtime_error("the last part fails");
  };
  EXPECT_THROW(parallel_for(0, 100, 1, fails_late), std::runtime_error);
}

}  // namespace
}  // namespace octet
