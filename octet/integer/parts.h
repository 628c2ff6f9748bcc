#pragma once

#include <cstdint>
#include <functional>

namespace octet::integer {

/// Calls work(begin, end) for parts of `count` pieces on several threads (share_out), where `operations` in all,
/// products of a convolution or as long as these, are worth that. Parts begin at multiples of `unit`.
void for_parts(int64_t count, int64_t operations, const std::function<void(int64_t, int64_t)>& work, int64_t unit = 1);

/// Bytes behind packed activations that are read and do not count.
inline constexpr int64_t kReadAhead = 64;

enum class OwnMemory { kKernel, kTiles };
/// At least so many bytes of this thread's own for this use, 64 bytes aligned, with kReadAhead behind them; the next
/// call may move them.
uint8_t* own_memory(int64_t bytes, OwnMemory use = OwnMemory::kKernel);

}  // namespace octet::integer
