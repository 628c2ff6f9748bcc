#include "octet/audio/resample.h"

#include <soxr.h>

#include "octet/audio/sound_file.h"
#include "octet/support/error.h"

namespace octet::audio {

int64_t resampled_size(int64_t count, int64_t from, int64_t to) { return (count * to + from - 1) / from; }

std::vector<float> resample(std::vector<float> samples, int64_t from, int64_t to) {
  for (const int64_t rate : {from, to}) {
    if (rate < kLeastRate || rate > kMostRate) {
      throw expected("resample", "samples a second", str(kLeastRate, " to ", kMostRate), str(rate));
    }
  }
  if (from == to) return samples;
  std::vector<float> made(static_cast<size_t>(resampled_size(static_cast<int64_t>(samples.size()), from, to)), 0.0F);
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  const soxr_io_spec_t floats = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
  const soxr_runtime_spec_t one_thread = soxr_runtime_spec(1);
  size_t read = 0, written = 0;
  const soxr_error_t failure =
      soxr_oneshot(static_cast<double>(from), static_cast<double>(to), 1, samples.data(), samples.size(), &read,
                   made.data(), made.size(), &written, &floats, &quality, &one_thread);
  if (failure != nullptr) throw Error("resample", soxr_strerror(failure));
  return made;
}

}  // namespace octet::audio
