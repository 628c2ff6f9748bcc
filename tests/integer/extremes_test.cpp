// Programs that the fuzzer found: in order as files, and with numbers that no kernel was written for.
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/integer/fixed_point.h"
#include "octet/support/error.h"
#include "tests/integer/programs.h"

namespace octet {
namespace {

using tflite::OpCode;
using tflite::Type;

at::Tensor filled(std::vector<int64_t> shape, int value) { return at::full(shape, value, at::kChar); }

tflite::Quantization per_tensor(float scale, int64_t zero_point = 0) { return {{scale}, {zero_point}, 0}; }

// One int8 operator on four levels of one value; the first level of the result.
int one(OpCode code, int level, tflite::Quantization in, tflite::Quantization out, float alpha = 0.0F) {
  test::Program program(code);
  program.options().alpha = alpha;
  program.input(filled({1, 4}, level), std::move(in));
  program.output({1, 4}, Type::kInt8, std::move(out));
  const at::Tensor result = integer::Executor(program.model()).run({filled({1, 4}, level)}).at(0);
  return result.const_data_ptr<int8_t>()[0];
}

TEST(Extremes, BoundsOfAnActivationBeyondAllLevels) {
  EXPECT_EQ(integer::wide_level(6.0F, 1e-38F, -128), (1 << 30) - 128);
  EXPECT_EQ(integer::wide_level(-1.0F, 1e-38F, -128), -(1 << 30) - 128);
  EXPECT_EQ(integer::wide_level(6.0F, 0.5F, -3), 9);
  // 6 and -1 lie far outside of what 1e-38 a step reaches: every level is inside the bounds.
  EXPECT_EQ(one(OpCode::kRelu6, 5, per_tensor(1e-38F), per_tensor(1e-38F)), 5);
  EXPECT_EQ(one(OpCode::kReluN1To1, -5, per_tensor(1e-38F), per_tensor(1e-38F)), -5);
}

TEST(Extremes, ZeroPointsAreAddedModulo32Bits) {
  // Levels times 2^30 reach the ends of int32, and with a zero point go on behind them.
  const tflite::Quantization coarse = per_tensor(1.0F), fine = per_tensor(1.0F / (1 << 30), 127);
  const integer::Multiplier factor = integer::quantize_multiplier(1 << 30);
  for (int level = -128; level < 128; ++level) {
    const auto expected = [&](int value) {
      return integer::clamp_int8(integer::wrapping_add(integer::multiply(value, factor), 127));
    };
    EXPECT_EQ(one(OpCode::kQuantize, level, coarse, fine), expected(level));
    EXPECT_EQ(one(OpCode::kLeakyRelu, level, coarse, fine, 1.0F), expected(level));
    EXPECT_EQ(one(OpCode::kAbs, level, coarse, fine), expected(std::abs(level)));
    EXPECT_EQ(one(OpCode::kRelu, level, coarse, fine), 127);
  }
}

TEST(Extremes, ScalesThatVanishInATable) {
  EXPECT_THROW(one(OpCode::kTanh, 5, per_tensor(1e-30F), per_tensor(1.0F / 128)), Error);
  EXPECT_EQ(one(OpCode::kTanh, 0, per_tensor(0.1F), per_tensor(1.0F / 128)), 0);
  // 1 / 1e-40 is infinite in float32: log(1) is 0 on any grid.
  EXPECT_EQ(one(OpCode::kLog, 1, per_tensor(1.0F), per_tensor(1e-40F, 7)), 7);
  // 1 / sqrt(1e30 * 5) of steps of 1e20 is 0.
  EXPECT_EQ(one(OpCode::kRsqrt, 5, per_tensor(1e30F), per_tensor(1e20F, 7)), 7);
  // hardswish(x) is x where x is large.
  EXPECT_EQ(one(OpCode::kHardSwish, 100, per_tensor(1e5F), per_tensor(1e5F)), 100);
}

// Tensors without elements have no memory: the sanitizer sees where it is read all the same.
TEST(Extremes, TensorsWithoutElements) {
  test::Program program(OpCode::kConcatenation);
  program.options().axis = 1;
  program.input(filled({1, 0}, 0), per_tensor(1.0F));
  program.constant(filled({1, 0}, 0), per_tensor(1.0F));
  program.output({1, 0}, Type::kInt8, per_tensor(1.0F));
  EXPECT_EQ(integer::Executor(program.model()).run({filled({1, 0}, 0)}).at(0).sizes(), (std::vector<int64_t>{1, 0}));
}

TEST(Extremes, ReductionsSayTheShapeThatTheyHave) {
  for (const bool keeps : {false, true}) {
    test::Program program(OpCode::kReduceMax);
    program.options().keep_dims = keeps;
    program.input(filled({1, 3}, 0), per_tensor(1.0F));
    program.constant(test::integers({1}));
    program.output({1, 1}, Type::kInt8, per_tensor(1.0F));
    if (keeps) {
      EXPECT_NO_THROW(integer::Executor{program.model()});
    } else {
      EXPECT_THROW(integer::Executor{program.model()}, Error);
    }
  }
}

TEST(Extremes, ResizesToNothing) {
  for (const OpCode code : {OpCode::kResizeBilinear, OpCode::kResizeNearestNeighbor}) {
    test::Program program(code);
    program.input(filled({1, 2, 2, 1}, 0), per_tensor(1.0F));
    program.constant(test::integers({0, 2}));
    program.output({1, 0, 2, 1}, Type::kInt8, per_tensor(1.0F));
    EXPECT_THROW(integer::Executor{program.model()}, Error);
  }
}

}  // namespace
}  // namespace octet
