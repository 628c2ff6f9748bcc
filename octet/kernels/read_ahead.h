#pragma once

#include <algorithm>
#include <cstdint>

namespace octet {

/// Memory that is read soon, asked for in small steps beside the work on what came before: loops over tiles jump too
/// much for the hardware to foresee.
class ReadAhead {
 public:
  ReadAhead() = default;
  /// `steps` calls of step() cover [from, from + bytes).
  ReadAhead(const void* from, int64_t bytes, int64_t steps)
      : at_(static_cast<const char*>(from)),
        end_(at_ + bytes),
        stride_((bytes / kLine + steps) / std::max<int64_t>(1, steps)) {}

  void step() {
    for (int64_t i = 0; i < stride_ && at_ < end_; ++i, at_ += kLine) {
#ifdef __GNUC__
      __builtin_prefetch(at_, 0, 2);
#endif
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  int64_t stride_ = 0;
};

}  // namespace octet
