#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "octet/support/api.h"

namespace octet::audio {

/// What a network hears of a sound, as MLPerf Tiny computes it.
enum class FeatureKind {
  /// Keyword spotting: tf.signal's MFCC of a recording whose greatest sample is 1. Frames under a Hann window,
  /// magnitudes of their Fourier transform, bands on the mel scale (HTK's), log(x + 1e-6), the first terms of a DCT.
  kMfcc,
  /// Anomaly detection: librosa's mel spectrogram in dB. Frames under a Hann window, power, Slaney's mel bands of equal
  /// area, 10 log10(x + 2.2e-16).
  kLogMel,
  /// Streaming wake word: log energies of mel bands, from 0 to 1. A recording whose greatest sample is 1,
  /// x[i] - 0.96875 x[i-1], frames under a Hamming window, power over the window's length, HTK's mel bands,
  /// (10 log10(x) + 52) / 64.
  kEnergies,
  /// The samples themselves.
  kSamples,
};
/// "mfcc", "logmel", "lfbe", "samples"; throws octet::Error listing them otherwise.
OCTET_API FeatureKind feature_kind(const std::string& name);

/// The most milliseconds that anything may take, a day: what samples they are is a number of 64 bits.
inline constexpr double kMostMs = 86'400'000;

/// 0: as MLPerf Tiny has it of the kind.
struct FeatureOptions {
  FeatureKind kind = FeatureKind::kMfcc;
  int64_t rate = 0;          ///< samples a second: 16,000
  double window_ms = 0;      ///< 30 for kMfcc, else 64
  double stride_ms = 0;      ///< between the begins of two frames: 20, else 32
  int64_t bands = 0;         ///< of the mel scale: 40, for kLogMel 128
  double least_hz = -1;      ///< of the bands: 20, else 0; negative: not said
  double most_hz = 0;        ///< 4,000, else half the rate
  int64_t coefficients = 0;  ///< of kMfcc: 10
};
/// With the kind's numbers where none are given. Throws octet::Error for numbers that make no features.
OCTET_API FeatureOptions completed(FeatureOptions options);

/// Features of one kind; safe from several threads.
class OCTET_API Features {
 public:
  explicit Features(const FeatureOptions& options);
  ~Features();

  const FeatureOptions& options() const;
  /// Numbers a frame; of kSamples 1.
  int64_t width() const;
  /// Samples that so many frames take, and frames in so many samples.
  int64_t samples(int64_t frames) const;
  int64_t frames(int64_t samples) const;
  /// Whether a recording is scaled so that its greatest sample is 1, before anything else.
  bool scales_to_peak() const;
  /// [frames, width] of a recording, frame after frame.
  std::vector<float> of(const std::vector<float>& samples) const;

 private:
  struct Tables;
  std::unique_ptr<const Tables> tables_;
};

}  // namespace octet::audio
