#include "octet/integer/fixed_point.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "octet/support/error.h"

namespace octet::integer {
namespace {

TEST(Multiplier, HoldsTheNearestFactor) {
  EXPECT_EQ(quantize_multiplier(1.0).value, 1 << 30);
  EXPECT_EQ(quantize_multiplier(1.0).shift, 1);
  EXPECT_EQ(quantize_multiplier(0.75).value, 1610612736);
  EXPECT_EQ(quantize_multiplier(0.75).shift, 0);
  EXPECT_EQ(quantize_multiplier(0.0).value, 0);
  EXPECT_EQ(quantize_multiplier(1e-20).value, 0) << "below 2^-31";
  EXPECT_EQ(quantize_multiplier(std::nextafter(1.0, 0.0)).value, 1 << 30) << "rounds up to the next power";
  for (const double bad : {-1.0, std::nan(""), HUGE_VAL, 1e12}) EXPECT_THROW(quantize_multiplier(bad), Error) << bad;
}

TEST(Multiply, RoundsTwice) {
  const Multiplier half = quantize_multiplier(0.5);
  EXPECT_EQ(multiply(3, half), 2);
  EXPECT_EQ(multiply(-3, half), -1) << "the first rounding takes halves up";
  const Multiplier eighth = quantize_multiplier(0.125);
  EXPECT_EQ(multiply(4, eighth), 1);
  EXPECT_EQ(multiply(-4, eighth), -1) << "the second away from zero";
  EXPECT_EQ(multiply(3, eighth), 1) << "0.375 becomes 1.5 / 4, 2 / 4, 1";
}

// Against exact arithmetic: each of the two roundings is off by half a unit at most.
TEST(Multiply, IsWithinItsTwoRoundings) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> logs(-12, 3);
  std::uniform_int_distribution<int32_t> numbers(-(1 << 24), 1 << 24);
  for (int i = 0; i < 20000; ++i) {
    const double factor = std::exp2(logs(random));
    const int32_t x = numbers(random);
    const double exact = factor * x;
    EXPECT_NEAR(multiply(x, quantize_multiplier(factor)), exact, 1.0 + std::abs(exact) * 0x1p-30) << factor << ' ' << x;
  }
}

TEST(QuantizeLevel, RoundsHalvesAwayFromZeroAndNothingElse) {
  EXPECT_EQ(quantize_level<int8_t>(0.5F, 1.0F, 3), 4);
  EXPECT_EQ(quantize_level<int8_t>(-0.5F, 1.0F, 3), 2);
  EXPECT_EQ(quantize_level<int8_t>(0.49999997F, 1.0F, 3), 3) << "adding a half in float32 would make it 1";
  EXPECT_EQ(quantize_level<int8_t>(1e9F, 1.0F, 3), 127);
  EXPECT_EQ(quantize_level<int8_t>(-1e9F, 1.0F, 3), -128);
  EXPECT_EQ(quantize_level<int8_t>(std::nanf(""), 1.0F, 3), 3);
}

TEST(HighMultiply, Saturates) {
  EXPECT_EQ(doubling_high_multiply(INT32_MIN, INT32_MIN), INT32_MAX);
  EXPECT_EQ(doubling_high_multiply(INT32_MIN, INT32_MAX), INT32_MIN + 1);
  EXPECT_EQ(doubling_high_multiply(1 << 30, 1), 1) << "half rounds up";
  EXPECT_EQ(doubling_high_multiply(-(1 << 30), 1), 0) << "minus one half rounds up, as the reference's division does";
}

}  // namespace
}  // namespace octet::integer
