#pragma once

#include <cstdint>
#include <vector>

#include "octet/integer/kernel.h"

namespace octet::integer {

/// The pixel of an axis of `in` pixels that each of `out` resized ones takes: RESIZE_NEAREST_NEIGHBOR.
std::vector<int64_t> nearest_places(const tflite::Options& options, int64_t in, int64_t out);

}  // namespace octet::integer
