#pragma once

#include <gtest/gtest.h>

#include <random>

#include "octet/integer/executor.h"
#include "octet/support/error.h"
#include "tests/integer/programs.h"

namespace octet::test {

inline std::mt19937& random_bits() {
  static std::mt19937 generator(5);
  return generator;
}

inline int64_t between(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random_bits()() % static_cast<uint64_t>(high - low + 1));
}

inline at::Tensor levels(std::vector<int64_t> shape, int64_t low = -128) {
  at::Tensor values = at::empty(shape, at::TensorOptions(at::kChar));
  for (int64_t i = 0; i < values.numel(); ++i) {
    values.mutable_data_ptr<int8_t>()[i] = static_cast<int8_t>(between(low, 127));
  }
  return values;
}

inline tflite::Quantization grid(float scale, int64_t zero_point) { return {{scale}, {zero_point}, 0}; }

inline tflite::Quantization grids(int64_t channels, int32_t axis) {
  tflite::Quantization result;
  for (int64_t c = 0; c < channels; ++c) {
    result.scale.push_back(0.001F * static_cast<float>(between(1, 40)));
    result.zero_point.push_back(0);
  }
  result.axis = axis;
  return result;
}

// The program gives the same bits on every path, and those of the checked kernels.
inline void expect_one_answer(const Program& program, const std::vector<at::Tensor>& inputs, const std::string& what) {
  const at::Tensor wanted = integer::Executor(program.model(), {.check_overflow = true}).run(inputs).at(0);
  for (const integer::Path path : integer::available_paths()) {
    const at::Tensor got = integer::Executor(program.model(), {.path = path}).run(inputs).at(0);
    ASSERT_TRUE(at::equal(got, wanted)) << path_name(path) << ", " << what;
  }
}

inline at::Tensor extreme_or_random(std::vector<int64_t> shape, int64_t round) {
  return round % 7 == 0 ? at::full(shape, -128, at::TensorOptions(at::kChar)) : levels(std::move(shape));
}

}  // namespace octet::test
