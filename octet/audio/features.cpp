#include "octet/audio/features.h"

#include <kissfft/kissfft.hh>

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>

#include "octet/audio/sound_file.h"
#include "octet/support/error.h"

namespace octet::audio {

// One band: what each of the bins from `first` on counts in it.
struct MelBand {
  size_t first = 0;
  std::vector<double> weights;
};

namespace {

constexpr double kPi = std::numbers::pi;

// What the kinds differ in.
struct Recipe {
  const char* name;
  double window_ms;
  double stride_ms;
  int64_t bands;
  double least_hz;
  double most_hz;  // 0: half the rate
  int64_t coefficients;
  bool scales_to_peak;
};

constexpr std::array<Recipe, 4> kRecipes = {{{"mfcc", 30, 20, 40, 20, 4000, 10, true},
                                             {"logmel", 64, 32, 128, 0, 0, 0, false},
                                             {"lfbe", 64, 32, 40, 0, 0, 0, true},
                                             {"samples", 0, 0, 0, 0, 0, 0, false}}};

const Recipe& recipe(FeatureKind kind) { return kRecipes[static_cast<size_t>(kind)]; }

int64_t samples_of(double ms, int64_t rate) { return static_cast<int64_t>(static_cast<double>(rate) * ms / 1000.0); }

// tf.signal.hann_window (which leaves an odd window symmetric) and hamming_window, both as those kinds call them.
std::vector<double> window_of(FeatureKind kind, int64_t length) {
  const bool is_hamming = kind == FeatureKind::kEnergies;
  const bool is_periodic = !is_hamming && (length % 2 == 0 || kind == FeatureKind::kLogMel);
  const double mean = is_hamming ? 0.54 : 0.5;
  const auto around = static_cast<double>(std::max<int64_t>(1, is_periodic ? length : length - 1));
  std::vector<double> window;
  for (int64_t i = 0; i < length; ++i) {
    window.push_back(mean - (1 - mean) * std::cos(2 * kPi * static_cast<double>(i) / around));
  }
  return window;
}

// HTK's mel scale, natural logarithm.
double htk_mel(double hz) { return 1127.0 * std::log1p(hz / 700.0); }

// Slaney's, as in librosa: even up to 1 kHz, then logarithmic, 27 steps for a factor of 6.4.
constexpr double kEven = 200.0 / 3.0, kKnee = 1000.0;
double slaney_hz(double mel) {
  const double knee = kKnee / kEven;
  return mel < knee ? mel * kEven : kKnee * std::exp(std::log(6.4) / 27.0 * (mel - knee));
}
double slaney_mel(double hz) {
  const double knee = kKnee / kEven;
  return hz < kKnee ? hz / kEven : knee + std::log(hz / kKnee) * 27.0 / std::log(6.4);
}

// Triangles over `bins` frequencies from 0 to half the rate; their feet and tops even on the scale.
std::vector<MelBand> bands_of(const FeatureOptions& options, int64_t bins) {
  const bool is_slaney = options.kind == FeatureKind::kLogMel;
  const auto mel = [&](double hz) { return is_slaney ? slaney_mel(hz) : htk_mel(hz); };
  const double least = mel(options.least_hz), most = mel(options.most_hz);
  const double step = (most - least) / static_cast<double>(options.bands + 1);
  const double bin_hz = static_cast<double>(options.rate) / 2.0 / static_cast<double>(bins - 1);
  // tf.signal's slopes are straight on the mel scale, librosa's in hertz.
  const auto edge = [&](int64_t i) {
    const double at = least + step * static_cast<double>(i);
    return is_slaney ? slaney_hz(at) : at;
  };
  std::vector<MelBand> bands;
  for (int64_t i = 0; i < options.bands; ++i) {
    const double low = edge(i), top = edge(i + 1), high = edge(i + 2);
    MelBand band;
    // tf.signal leaves out the constant part.
    for (int64_t bin = is_slaney ? 0 : 1; bin < bins; ++bin) {
      const double hz = bin_hz * static_cast<double>(bin), at = is_slaney ? hz : mel(hz);
      const double weight = std::min((at - low) / (top - low), (high - at) / (high - top));
      if (!(weight > 0)) continue;
      if (band.weights.empty()) band.first = static_cast<size_t>(bin);
      band.weights.push_back(is_slaney ? weight * 2.0 / (high - low) : weight);
    }
    bands.push_back(std::move(band));
  }
  return bands;
}

// tf.signal's mfccs_from_log_mel_spectrograms: a DCT of type 2 over sqrt(2 * bands).
std::vector<double> cosines_of(int64_t coefficients, int64_t bands) {
  const auto n = static_cast<double>(bands);
  std::vector<double> cosines;
  for (int64_t k = 0; k < coefficients; ++k) {
    for (int64_t i = 0; i < bands; ++i) {
      cosines.push_back(std::sqrt(2.0 / n) *
                        std::cos(kPi / n * (static_cast<double>(i) + 0.5) * static_cast<double>(k)));
    }
  }
  return cosines;
}

}  // namespace

FeatureKind feature_kind(const std::string& name) {
  std::vector<std::string> names;
  for (size_t i = 0; i < kRecipes.size(); ++i) {
    if (name == kRecipes[i].name) return static_cast<FeatureKind>(i);
    names.emplace_back(kRecipes[i].name);
  }
  throw expected("features", "kind", join(", ", names), "'" + name + "'");
}

FeatureOptions completed(FeatureOptions options) {
  const Recipe& usual = recipe(options.kind);
  if (options.rate == 0) options.rate = 16'000;
  if (options.rate < kLeastRate || options.rate > kMostRate) {
    throw expected("features", "samples a second", str(kLeastRate, " to ", kMostRate), str(options.rate));
  }
  if (options.kind == FeatureKind::kSamples) return options;
  if (options.window_ms == 0) options.window_ms = usual.window_ms;
  if (options.stride_ms == 0) options.stride_ms = usual.stride_ms;
  if (options.bands == 0) options.bands = usual.bands;
  if (options.least_hz < 0) options.least_hz = usual.least_hz;
  const double half = static_cast<double>(options.rate) / 2.0;
  if (options.most_hz == 0) options.most_hz = usual.most_hz > 0 ? std::min(usual.most_hz, half) : half;
  if (options.coefficients == 0) options.coefficients = usual.coefficients;
  constexpr int64_t kMostWindow = 1 << 20, kMostBands = 1024;
  for (const double ms : {options.window_ms, options.stride_ms}) {
    if (!(ms > 0 && ms <= kMostMs)) {
      throw expected("features", "milliseconds of a window or a stride", str("over 0, up to ", kMostMs), str(ms));
    }
  }
  const int64_t window = samples_of(options.window_ms, options.rate);
  if (window < 2 || window > kMostWindow) {
    throw expected("features", "samples of a window", str("2 to ", kMostWindow), str(window));
  }
  const int64_t stride = samples_of(options.stride_ms, options.rate);
  if (stride < 1) throw expected("features", "samples of a stride", "1 or more", str(stride));
  if (options.bands < 1 || options.bands > kMostBands) {
    throw expected("features", "mel bands", str("1 to ", kMostBands), str(options.bands));
  }
  if (options.coefficients < 0 || options.coefficients > options.bands) {
    throw expected("features", "coefficients", str("at most ", options.bands, ", one a mel band"),
                   str(options.coefficients));
  }
  if (!(options.least_hz < options.most_hz) || options.most_hz > half) {
    throw expected("features", "range of the mel bands", str("rising, up to ", half, " Hz"),
                   str(options.least_hz, " to ", options.most_hz));
  }
  return options;
}

struct Features::Tables {
  explicit Tables(const FeatureOptions& chosen) : options(completed(chosen)), transform(1, false) {
    if (options.kind == FeatureKind::kSamples) return;
    window_length = samples_of(options.window_ms, options.rate);
    stride = samples_of(options.stride_ms, options.rate);
    while (transformed < window_length) transformed *= 2;
    transform = kissfft<double>(static_cast<size_t>(transformed), false);
    window = window_of(options.kind, window_length);
    bands = bands_of(options, transformed / 2 + 1);
    if (options.kind == FeatureKind::kMfcc) cosines = cosines_of(options.coefficients, options.bands);
  }

  FeatureOptions options;
  int64_t window_length = 1;
  int64_t stride = 1;
  int64_t transformed = 1;  // the length of the Fourier transform: the next power of two
  kissfft<double> transform;
  std::vector<double> window;
  std::vector<MelBand> bands;
  std::vector<double> cosines;  // [coefficients, bands]
};

Features::Features(const FeatureOptions& options) : tables_(std::make_unique<Tables>(options)) {}
Features::~Features() = default;

const FeatureOptions& Features::options() const { return tables_->options; }

int64_t Features::width() const {
  switch (tables_->options.kind) {
    case FeatureKind::kMfcc:
      return tables_->options.coefficients;
    case FeatureKind::kSamples:
      return 1;
    default:
      return tables_->options.bands;
  }
}

int64_t Features::samples(int64_t frames) const {
  return frames < 1 ? 0 : tables_->window_length + (frames - 1) * tables_->stride;
}

int64_t Features::frames(int64_t samples) const {
  return samples < tables_->window_length ? 0 : 1 + (samples - tables_->window_length) / tables_->stride;
}

bool Features::scales_to_peak() const { return recipe(tables_->options.kind).scales_to_peak; }

std::vector<float> Features::of(const std::vector<float>& samples) const {
  const Tables& tables = *tables_;
  const FeatureKind kind = tables.options.kind;
  if (kind == FeatureKind::kSamples) return samples;
  constexpr double kBefore = 0.96875;  // of the sample before, for kEnergies: 1 - 2^-5
  const bool is_energy = kind == FeatureKind::kEnergies;
  const auto sample = [&](int64_t i) {
    const double own = samples[static_cast<size_t>(i)];
    return is_energy && i > 0 ? own - kBefore * static_cast<double>(samples[static_cast<size_t>(i - 1)]) : own;
  };
  std::vector<std::complex<double>> frame(static_cast<size_t>(tables.transformed)), spectrum(frame.size());
  std::vector<double> strengths(frame.size() / 2 + 1), logs(tables.bands.size());
  const int64_t count = frames(static_cast<int64_t>(samples.size()));
  std::vector<float> made;
  made.reserve(static_cast<size_t>(count * width()));
  for (int64_t f = 0; f < count; ++f) {
    for (int64_t i = 0; i < tables.window_length; ++i) {
      frame[static_cast<size_t>(i)] = sample(f * tables.stride + i) * tables.window[static_cast<size_t>(i)];
    }
    tables.transform.transform(frame.data(), spectrum.data());
    for (size_t i = 0; i < strengths.size(); ++i) {
      const double power = std::norm(spectrum[i]);
      strengths[i] = kind == FeatureKind::kMfcc ? std::sqrt(power)
                     : is_energy                ? std::max(power / static_cast<double>(tables.window_length), 1e-30)
                                                : power;
    }
    for (size_t b = 0; b < logs.size(); ++b) {
      const MelBand& band = tables.bands[b];
      double sum = 0;
      for (size_t i = 0; i < band.weights.size(); ++i) sum += band.weights[i] * strengths[band.first + i];
      logs[b] = kind == FeatureKind::kMfcc ? std::log(sum + 1e-6)
                : is_energy ? std::clamp((10.0 * std::log10(std::max(sum, 1e-300)) + 52.0) / 64.0, 0.0, 1.0)
                            : 10.0 * std::log10(sum + std::numeric_limits<double>::epsilon());
    }
    if (kind != FeatureKind::kMfcc) {
      made.insert(made.end(), logs.begin(), logs.end());
      continue;
    }
    for (int64_t k = 0; k < tables.options.coefficients; ++k) {
      double sum = 0;
      const double* row = tables.cosines.data() + k * tables.options.bands;
      for (size_t b = 0; b < logs.size(); ++b) sum += row[b] * logs[b];
      made.push_back(static_cast<float>(sum));
    }
  }
  return made;
}

}  // namespace octet::audio
