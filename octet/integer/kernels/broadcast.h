#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "octet/integer/kernel.h"
#include "octet/integer/parts.h"

namespace octet::integer {

/// Steps of two operands through the elements of their broadcast result.
class Broadcast {
 public:
  /// Throws octet::Error where the shapes do not broadcast to the output's.
  Broadcast(const KernelContext& context, const tflite::Tensor& a, const tflite::Tensor& b);

  /// Calls visit(index of a, index of b, index of the result, count) for runs of the result in order. Along a run an
  /// operand goes from element to element, or stays: a_moves(), b_moves().
  template <typename Visit>
  void each_run(Visit visit) const {
    std::vector<int64_t> at(outer_.size(), 0);
    int64_t a = 0, b = 0;
    for (int64_t i = 0; i < count_; i += run_.size) {
      visit(a, b, i, run_.size);
      for (size_t d = outer_.size(); d-- > 0;) {
        a += outer_[d].a;
        b += outer_[d].b;
        if (++at[d] < outer_[d].size) break;
        a -= outer_[d].a * outer_[d].size;
        b -= outer_[d].b * outer_[d].size;
        at[d] = 0;
      }
    }
  }
  bool a_moves() const { return run_.a != 0; }
  bool b_moves() const { return run_.b != 0; }

 private:
  struct Dimension {
    int64_t size, a, b;  // elements from one step to the next
  };
  std::vector<Dimension> outer_;
  Dimension run_ = {1, 1, 1};
  int64_t count_ = 0;
};

/// Kernel of an operator on two int8 operands that broadcast: row(x, y, z, count) computes `count` numbers that lie
/// side by side.
template <typename Row>
Kernel make_of_two(const KernelContext& context, Row row) {
  for (const tflite::Tensor* each : {&context.input(0), &context.input(1), &context.output()}) {
    context.require_type(*each, tflite::Type::kInt8);
  }
  const Broadcast broadcast(context, context.input(0), context.input(1));
  const auto a = context.input_index(0);
  const auto b = context.input_index(1);
  const auto out = context.output_index();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(a);
    const auto* y = values.at<const int8_t>(b);
    auto* z = values.at<int8_t>(out);
    constexpr int64_t kPart = 256;  // of a run along which an operand stays
    std::array<int8_t, kPart> same{};
    broadcast.each_run([&](int64_t i, int64_t j, int64_t k, int64_t count) {
      if (broadcast.a_moves() && broadcast.b_moves()) {
        constexpr int64_t kOperations = 16;  // that a number takes as long as
        return for_parts(count, count * kOperations, [&](int64_t begin, int64_t end) {
          row(x + i + begin, y + j + begin, z + k + begin, end - begin);
        });
      }
      same.fill(broadcast.a_moves() ? y[j] : x[i]);
      for (int64_t done = 0; done < count; done += kPart) {
        const int64_t part = std::min(kPart, count - done);
        if (broadcast.a_moves()) {
          row(x + i + done, same.data(), z + k + done, part);
        } else {
          row(same.data(), y + j + done, z + k + done, part);
        }
      }
    });
  };
}

}  // namespace octet::integer
