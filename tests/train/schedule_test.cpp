#include "octet/train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "octet/support/error.h"

namespace octet {
namespace {

TEST(Schedule, ConstantStays) {
  Schedule schedule{.kind = ScheduleKind::kConstant, .base = 0.3, .total_steps = 10};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 0), 0.3);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 9), 0.3);
}

TEST(Schedule, WarmupRisesInALine) {
  Schedule schedule{.kind = ScheduleKind::kConstant, .base = 0.8, .total_steps = 10, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 0), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 3), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 4), 0.8);
}

TEST(Schedule, CosineFallsToItsEnd) {
  Schedule schedule{.kind = ScheduleKind::kCosine, .base = 1.0, .total_steps = 104, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 4), 1.0);
  EXPECT_NEAR(learning_rate(schedule, 29), 0.5 * (1 + std::sqrt(0.5)), 1e-12);
  EXPECT_NEAR(learning_rate(schedule, 54), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate(schedule, 104), 0.0, 1e-12);
  EXPECT_NEAR(learning_rate(schedule, 200), 0.0, 1e-12);
  schedule.final_fraction = 0.1;
  EXPECT_NEAR(learning_rate(schedule, 54), 0.55, 1e-12);
  EXPECT_NEAR(learning_rate(schedule, 104), 0.1, 1e-12);
}

TEST(Schedule, StepFallsByFactors) {
  Schedule schedule{.kind = ScheduleKind::kStep, .base = 1.0, .total_steps = 30, .step_every = 10, .step_factor = 0.2};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 9), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 10), 0.2);
  EXPECT_NEAR(learning_rate(schedule, 29), 0.04, 1e-15);
}

TEST(Schedule, HasNames) {
  EXPECT_EQ(schedule_kind("cosine"), ScheduleKind::kCosine);
  EXPECT_EQ(schedule_kind("step"), ScheduleKind::kStep);
  EXPECT_EQ(schedule_kind("constant"), ScheduleKind::kConstant);
  EXPECT_THROW(schedule_kind("linear"), Error);
}

}  // namespace
}  // namespace octet
