#pragma once

#include <cstdint>
#include <vector>

#include "octet/support/api.h"

namespace octet::audio {

/// The samples at another rate, by libsoxr in its high quality, as librosa resamples; ceil(n * to / from) of them.
/// Throws octet::Error for rates that are none.
OCTET_API std::vector<float> resample(std::vector<float> samples, int64_t from, int64_t to);

/// How many samples resample() gives of `count`.
OCTET_API int64_t resampled_size(int64_t count, int64_t from, int64_t to);

}  // namespace octet::audio
