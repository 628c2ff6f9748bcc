#pragma once

#include <cstdint>
#include <limits>

#include "octet/support/mix_seed.h"

namespace octet {

/// Chance from a seed: the same seed gives the same draws. Serves the distributions of <random>, too.
class Draws {
 public:
  using result_type = uint64_t;

  explicit Draws(uint64_t seed) : seed_(seed) {}
  uint64_t operator()() { return mix_seed(seed_, drawn_++); }
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return std::numeric_limits<uint64_t>::max(); }

  /// From `low` up to, not including, `high`.
  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>((*this)() >> 11) * 0x1.0p-53;
  }
  /// From 0 to `count` - 1.
  int64_t below(int64_t count) { return static_cast<int64_t>((*this)() % static_cast<uint64_t>(count)); }

 private:
  uint64_t seed_;
  uint64_t drawn_ = 0;
};

}  // namespace octet
