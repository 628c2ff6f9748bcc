#pragma once

#include "octet/kernels/channel_rows.h"
#include "octet/kernels/rounding.h"

namespace octet {

/// A value clipped, and rounded to its grid.
[[gnu::always_inline]] inline float clip_and_round(float z, const ClipAndRound& g) {
  return value_of(level_of(clipped(z, g.low, g.high), g.inverse, g.zero_point), g.least, g.most, g.zero_point, g.scale);
}

}  // namespace octet
