#pragma once

#include <cstdint>
#include <functional>

namespace octet {

/// Threads for work of microseconds. Between two calls they look out for the next one for a while, before they sleep:
/// to wake a thread takes as long as a small operator. Who calls does not wait for one that sleeps, but takes its share
/// too; the same where other programs keep a thread from running.
///
/// Calls work(begin, end) for chunks of at most `chunk` of `count` pieces on `threads` threads, this one among them:
/// each begins with a share of its own, which lies at the same place in every call, so that it finds in its cache what
/// it wrote, and then helps the others. Inside, octet::threads() is 1. One call at a time shares its work; others, of
/// other threads, do all of theirs themselves. An exception of any chunk reaches the caller.
/// A forked process has a crew of its own; a call that was under way in another thread is not.
void share_out(int64_t count, int64_t chunk, int threads, const std::function<void(int64_t, int64_t)>& work);

}  // namespace octet
