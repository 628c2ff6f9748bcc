#include "octet/train/schedule.h"

#include <cmath>
#include <numbers>

#include "octet/support/error.h"

namespace octet {

double learning_rate(const Schedule& schedule, int64_t step) {
  if (step < schedule.warmup_steps) {
    return schedule.base * static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps);
  }
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      break;
    case ScheduleKind::kCosine: {
      const auto span = static_cast<double>(std::max<int64_t>(1, schedule.total_steps - schedule.warmup_steps));
      const double t = std::min(1.0, static_cast<double>(step - schedule.warmup_steps) / span);
      const double f = schedule.final_fraction;
      return schedule.base * (f + (1 - f) * (1 + std::cos(std::numbers::pi * t)) / 2);
    }
    case ScheduleKind::kStep: {
      const int64_t steps_down = step / std::max<int64_t>(1, schedule.step_every);
      return schedule.base * std::pow(schedule.step_factor, static_cast<double>(steps_down));
    }
  }
  return schedule.base;
}

ScheduleKind schedule_kind(const std::string& name) {
  if (name == "constant") return ScheduleKind::kConstant;
  if (name == "cosine") return ScheduleKind::kCosine;
  if (name == "step") return ScheduleKind::kStep;
  throw expected("schedule", "name", "constant, cosine, step", "'" + name + "'");
}

}  // namespace octet
