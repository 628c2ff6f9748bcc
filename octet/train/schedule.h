#pragma once

#include <cstdint>
#include <string>

#include "octet/support/api.h"

namespace octet {

enum class ScheduleKind { kConstant, kCosine, kStep };

/// How the learning rate goes, counted in optimizer steps.
struct Schedule {
  ScheduleKind kind = ScheduleKind::kCosine;
  double base = 0.1;
  int64_t total_steps = 1;
  /// Linear rise to `base` over this many steps: step k (from 0) has base * (k + 1) / warmup_steps.
  int64_t warmup_steps = 0;
  /// kCosine ends at this fraction of `base`: base * (f + (1 - f) * (1 + cos(pi * t)) / 2), t from 0 to 1 behind the
  /// warmup.
  double final_fraction = 0.0;
  /// kStep multiplies by `step_factor` every `step_every` steps.
  int64_t step_every = 1;
  double step_factor = 0.1;
};

/// The rate of step `step`, counted from 0.
OCTET_API double learning_rate(const Schedule& schedule, int64_t step);

/// "constant", "cosine", "step"; throws octet::Error listing them otherwise.
OCTET_API ScheduleKind schedule_kind(const std::string& name);

}  // namespace octet
