#pragma once

#include <gtest/gtest.h>
#include <pthread.h>

#include <exception>
#include <functional>

namespace octet::test {

/// Runs `work` on a stack of 512 KiB: what recurses by the depth of a graph of thousands of steps does not come
/// back from there.
inline void on_small_stack(std::function<void()> work) {
  struct Call {
    std::function<void()> work;
    std::exception_ptr failure;
  } call{std::move(work), nullptr};
  const auto run = [](void* argument) -> void* {
    auto& own = *static_cast<Call*>(argument);
    try {
      own.work();
    } catch (...) {
      own.failure = std::current_exception();
    }
    return nullptr;
  };
  pthread_attr_t attributes;
  pthread_t thread;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 512 * 1024), 0);
  ASSERT_EQ(pthread_create(&thread, &attributes, run, &call), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
  if (call.failure) std::rethrow_exception(call.failure);
}

/// How many steps the chains of such tests have.
inline constexpr int64_t kDeep = 12000;

}  // namespace octet::test
