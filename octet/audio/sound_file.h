#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "octet/support/api.h"
#include "octet/support/byte_source.h"

namespace octet::audio {

/// Rates, in samples a second, that a file may have, and that may be asked for.
inline constexpr int64_t kLeastRate = 1'000, kMostRate = 768'000;

/// One channel, from -1 to 1 (files of floats may go beyond).
struct Sound {
  int64_t rate = 0;  ///< samples a second
  std::vector<float> samples;
};

/// A WAV file that is open: RIFF of PCM of 8 (unsigned), 16, 24 or 32 bits, of float32 or float64, plain or extensible.
class OCTET_API SoundFile {
 public:
  /// Reads the header. Throws octet::Error naming the file for anything else, for what is cut off, and for rates and
  /// numbers of channels beyond reason.
  explicit SoundFile(std::shared_ptr<const ByteSource> bytes);
  ~SoundFile();
  SoundFile(const SoundFile&) = delete;
  SoundFile& operator=(const SoundFile&) = delete;

  int64_t rate() const;
  int64_t size() const;  ///< samples a channel
  /// `count` samples from `first` on, the mean of the channels, zeros before the begin and behind the end. Throws
  /// octet::Error for samples that can't be read, or are no numbers.
  std::vector<float> read(int64_t first, int64_t count);
  /// The same at another rate, in samples of that rate: all of the file is resampled (resample.h) where the rates
  /// differ. Throws octet::Error, too, where that would take more memory than a file of this size may.
  std::vector<float> read_at(int64_t rate, int64_t first, int64_t count);
  int64_t size_at(int64_t rate) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A whole file, with the rate that it has.
OCTET_API Sound read_sound(const std::string& path);
/// The same of bytes in memory; `name` for errors.
OCTET_API Sound decode_sound(std::string bytes, const std::string& name);

/// True for the ending .wav in either case.
OCTET_API bool is_sound_name(std::string_view path);

}  // namespace octet::audio
