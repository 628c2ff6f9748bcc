#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "octet/integer/kernel.h"

namespace octet::integer {

/// Steps of two operands through the elements of their broadcast result.
class Broadcast {
 public:
  /// Throws octet::Error where the shapes do not broadcast to the output's.
  Broadcast(const KernelContext& context, const tflite::Tensor& a, const tflite::Tensor& b);

  /// Calls visit(index of a, index of b, index of the result) for every element of the result in order.
  template <typename Visit>
  void each(Visit visit) const {
    if (plain_) {
      for (int64_t i = 0; i < count_; ++i) visit(i, i, i);
      return;
    }
    std::vector<int64_t> at(sizes_.size(), 0);
    int64_t a = 0, b = 0;
    for (int64_t i = 0; i < count_; ++i) {
      visit(a, b, i);
      for (size_t d = sizes_.size(); d-- > 0;) {
        a += steps_a_[d];
        b += steps_b_[d];
        if (++at[d] < sizes_[d]) break;
        a -= steps_a_[d] * sizes_[d];
        b -= steps_b_[d] * sizes_[d];
        at[d] = 0;
      }
    }
  }

 private:
  std::vector<int64_t> sizes_, steps_a_, steps_b_;
  int64_t count_ = 0;
  bool plain_ = false;
};

}  // namespace octet::integer
