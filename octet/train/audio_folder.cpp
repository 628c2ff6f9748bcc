#include "octet/train/audio_folder.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <mutex>

#include "octet/audio/sound_file.h"
#include "octet/support/draws.h"
#include "octet/support/error.h"
#include "octet/train/class_folder.h"

namespace octet {
namespace {

constexpr int64_t kMostClip = int64_t{1} << 24;            // samples that are heard at once
constexpr int64_t kMostKept = int64_t{32} * 1024 * 1024;   // samples at another rate than their files' in memory
constexpr int64_t kMostNoise = int64_t{64} * 1024 * 1024;  // samples of noise in memory
constexpr size_t kMostSamples = 200'000'000;
constexpr double kMostFactor = 1e6;  // of loudness

FolderOptions looking_for_sounds(const AudioFolderOptions& options) {
  return {.what = "recording",
          .endings = ".wav",
          .is_one = audio::is_sound_name,
          .has_lists = true,
          .held_out = options.held_out,
          .strict = options.strict};
}

int64_t numbers_of(const std::vector<int64_t>& shape) {
  int64_t numbers = 1;
  for (const int64_t size : shape) numbers = size < 1 || numbers > kMostClip / size ? 0 : numbers * size;
  return numbers;
}

// Sizes but for ones.
std::vector<int64_t> squeezed(std::vector<int64_t> shape) {
  std::erase(shape, 1);
  return shape;
}

// Where the model says how many columns its features have, that many.
audio::FeatureOptions fitted(audio::FeatureOptions features, const AudioFolderOptions& options) {
  const std::vector<int64_t> sizes = squeezed(options.sample);
  if (sizes.size() != 2) return features;
  const int64_t columns = options.time_last ? sizes[0] : sizes[1];
  if (features.kind == audio::FeatureKind::kMfcc) {
    if (features.coefficients == 0) features.coefficients = columns;
  } else if (features.bands == 0) {
    features.bands = columns;
  }
  return features;
}

bool begins_with(const std::string& path, const char* word) {
  return std::filesystem::path(path).filename().string().starts_with(word);
}

// Recordings at another rate than their own, of which samples hear a part each: every one is resampled as a whole, and
// kept as long as there is room.
class Resampled {
 public:
  std::vector<float> part(const std::string& path, int64_t rate, int64_t first, int64_t count) const {
    std::shared_ptr<const std::vector<float>> whole = kept(path);
    if (!whole) {
      audio::SoundFile sound(open_file(path));
      if (sound.rate() == rate) return sound.read_at(rate, first, count);
      whole = keep(path, sound.read_at(rate, 0, sound.size_at(rate)));
    }
    const auto size = static_cast<int64_t>(whole->size());
    const int64_t begin = std::clamp<int64_t>(first, 0, size), end = std::clamp<int64_t>(first + count, begin, size);
    return {whole->begin() + begin, whole->begin() + end};
  }

 private:
  std::shared_ptr<const std::vector<float>> kept(const std::string& path) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = kept_.find(path);
    return found != kept_.end() ? found->second : nullptr;
  }

  std::shared_ptr<const std::vector<float>> keep(const std::string& path, std::vector<float> samples) const {
    const auto whole = std::make_shared<const std::vector<float>>(std::move(samples));
    const auto size = static_cast<int64_t>(whole->size());
    const std::lock_guard<std::mutex> lock(mutex_);
    if (samples_ + size <= kMostKept && kept_.emplace(path, whole).second) samples_ += size;
    return whole;
  }

  mutable std::mutex mutex_;
  mutable std::map<std::string, std::shared_ptr<const std::vector<float>>> kept_;
  mutable int64_t samples_ = 0;
};

class AudioFolder : public FolderSource {
 public:
  AudioFolder(const std::string& name, const std::string& folder, Split split, const AudioFolderOptions& options)
      : FolderSource(name, folder, split, looking_for_sounds(options)),
        options_(options),
        features_(fitted(options.features, options)) {
    check_numbers();
    set_sizes();
    label_anomalies();
    if (options_.hop_ms > 0 || !options_.part_ms.empty()) list_samples();
    if (options_.augment && !options_.noise.empty()) read_noise();
  }

  int64_t size() const override {
    return places_.empty() ? FolderSource::size() : static_cast<int64_t>(places_.size());
  }
  std::vector<std::vector<int64_t>> sample_shapes() const override { return {options_.sample}; }

  Batch get(const std::vector<int64_t>& indices) const override {
    return batch_of(indices, [&](size_t i) { return heard(indices[i], nullptr); });
  }

  Batch draw(const std::vector<int64_t>& indices, const std::vector<uint64_t>& seeds) const override {
    if (!options_.augment) return get(indices);
    return batch_of(indices, [&](size_t i) {
      Draws draws(seeds[i]);
      return heard(indices[i], &draws);
    });
  }

 protected:
  const File& file_of(int64_t sample) const override {
    return places_.empty() ? FolderSource::file_of(sample) : files()[places_[static_cast<size_t>(sample)].file];
  }

 private:
  // Of its recording, at the features' rate.
  struct Place {
    uint32_t file = 0;
    int64_t begin = 0;
    int64_t end = 0;  // behind it a sample is filled up with zeros
  };

  int64_t rate() const { return features_.options().rate; }
  int64_t samples_of(double ms) const { return static_cast<int64_t>(static_cast<double>(rate()) * ms / 1000.0 + 0.5); }

  // What the model takes, in frames; how much of a recording that is.
  void set_sizes() {
    const int64_t numbers = numbers_of(options_.sample), width = features_.width();
    frames_ = numbers / width;
    const std::vector<int64_t> sizes = squeezed(options_.sample);
    const bool is_flat = sizes.size() <= 1 || features_.options().kind == audio::FeatureKind::kSamples;
    const bool fits =
        is_flat ? numbers > 0 && numbers % width == 0 : sizes.size() == 2 && sizes[options_.time_last ? 0 : 1] == width;
    if (!fits || frames_ < 1) {
      const std::string order = options_.time_last ? str('[', width, ", frames]") : str("[frames, ", width, ']');
      throw expected(name(), "model input (without the batch)",
                     str(order, ", for features of ", width, " numbers a frame"),
                     octet::str('[', join(", ", options_.sample), ']'));
    }
    const int64_t needed = features_.samples(frames_), second = rate();
    clip_ = options_.clip_ms > 0         ? samples_of(options_.clip_ms)
            : features_.scales_to_peak() ? std::max(needed, second)
                                         : needed;
    if (clip_ < needed || clip_ > kMostClip) {
      throw expected(name(), "clip", str("at least ", needed, " samples for ", frames_, " frames, at most ", kMostClip),
                     str(clip_));
    }
    const auto fits_columns = [&](const std::vector<double>& numbers_given) {
      return numbers_given.size() <= 1 || static_cast<int64_t>(numbers_given.size()) == width;
    };
    if (!fits_columns(options_.mean) || !fits_columns(options_.std)) {
      throw expected(name(), "mean and std", str("one number, or ", width),
                     str(options_.mean.size(), " and ", options_.std.size()));
    }
  }

  void check_numbers() const {
    const auto at_most = [&](double most, double value, const char* what) {
      if (!(value >= 0 && value <= most)) throw expected(name(), what, str("0 to ", most), str(value));
    };
    at_most(audio::kMostMs, options_.clip_ms, "milliseconds of a clip");
    at_most(audio::kMostMs, options_.hop_ms, "milliseconds of a hop");
    at_most(audio::kMostMs, options_.shift_ms, "milliseconds of the time shift");
    at_most(kMostFactor, options_.noise_level, "level of the noise");
    at_most(1, options_.noise_share, "share of samples with noise");
    for (const double each : options_.gain) at_most(kMostFactor, each, "gain");
    if (!options_.gain.empty() && (options_.gain.size() != 2 || options_.gain[0] > options_.gain[1])) {
      throw expected(name(), "gain", "the least and the greatest factor", join(", ", options_.gain));
    }
    const std::vector<double>& part = options_.part_ms;
    for (const double each : part) at_most(audio::kMostMs, each, "milliseconds of the part of a recording");
    if (!part.empty() && (part.size() != 2 || part[0] >= part[1])) {
      throw expected(name(), "part of a recording", "from and to, in milliseconds", join(", ", part));
    }
    for (const double each : options_.mean) {
      if (!std::isfinite(each)) throw expected(name(), "mean", "a number", str(each));
    }
    for (const double each : options_.std) {
      if (!(each > 0) || !std::isfinite(each)) throw expected(name(), "std", "a number over 0", str(each));
    }
  }

  // Usual and anomalous, in this order: what an autoencoder is measured by.
  void label_anomalies() {
    const std::vector<std::string> wanted = {"normal", "anomaly"};
    const std::vector<std::string> names = class_names();
    if (names == std::vector<std::string>{"anomaly", "normal"}) {
      for (File& each : files()) each.label = 1 - each.label;
      set_classes(wanted);
    }
    const auto is_named = [&](const File& each) {
      return begins_with(each.path, "normal") || begins_with(each.path, "anomaly");
    };
    if (!names.empty() || !std::all_of(files().begin(), files().end(), is_named)) return;
    for (File& each : files()) each.label = begins_with(each.path, "anomaly") ? 1 : 0;
    set_classes(wanted);
  }

  // All samples of all recordings, by their headers; in an order that is mixed as that of the files is.
  void list_samples() {
    const int64_t first = options_.part_ms.empty() ? 0 : samples_of(options_.part_ms[0]);
    const int64_t hop = options_.hop_ms > 0 ? std::max<int64_t>(1, samples_of(options_.hop_ms)) : 0;
    for (size_t i = 0; i < files().size(); ++i) {
      int64_t end = 0;
      try {
        end = audio::SoundFile(open_file(files()[i].path)).size_at(rate());
      } catch (const Error& error) {
        leave_out(files()[i].path, error);
        continue;
      }
      if (!options_.part_ms.empty()) end = std::min(end, samples_of(options_.part_ms[1]));
      if (first >= end) {
        leave_out(files()[i].path, Error(files()[i].path, "ends before the part of a recording that is used"));
        continue;
      }
      int64_t begin = first;
      do {
        places_.push_back({static_cast<uint32_t>(i), begin, end});
        begin += hop;
      } while (hop > 0 && begin + clip_ <= end);
      if (places_.size() > kMostSamples) throw expected(name(), "samples", str("at most ", kMostSamples), "more");
    }
    if (places_.empty()) throw Error(name(), "no recording can be read, or has the part that is used");
    for (size_t i = places_.size(); i > 1; --i) std::swap(places_[i - 1], places_[mix_seed(2, i) % i]);
  }

  // Of all files, one after another at the features' rate.
  void read_noise() {
    std::vector<std::filesystem::path> found;
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator(options_.noise, failure)) {
      if (audio::is_sound_name(entry.path().string())) found.push_back(entry.path());
    }
    if (failure) throw Error(options_.noise, failure.message());
    std::sort(found.begin(), found.end());
    for (const auto& path : found) {
      audio::SoundFile sound(open_file(path.string()));
      const std::vector<float> samples = sound.read_at(rate(), 0, sound.size_at(rate()));
      noise_.insert(noise_.end(), samples.begin(), samples.end());
      if (static_cast<int64_t>(noise_.size()) > kMostNoise) {
        throw expected(options_.noise, "samples of noise", str("at most ", kMostNoise), "more");
      }
    }
    if (noise_.empty()) throw Error(options_.noise, "holds no noise (.wav)");
  }

  // The features of a sample, changed by chance where there are draws.
  std::vector<float> heard(int64_t sample, Draws* draws) const {
    const Place place = places_.empty() ? Place{.end = clip_} : places_[static_cast<size_t>(sample)];
    const int64_t length = std::min(clip_, place.end - place.begin);
    const std::string& path = file_of(sample).path;
    std::vector<float> sound = places_.empty() ? audio::SoundFile(open_file(path)).read_at(rate(), 0, length)
                                               : resampled_.part(path, rate(), place.begin, length);
    sound.resize(static_cast<size_t>(clip_), 0.0F);
    if (features_.scales_to_peak()) {
      const float peak = *std::max_element(sound.begin(), sound.end());
      for (float& each : sound) each = peak > 0 ? each / peak : each;
    }
    if (draws != nullptr) change(sound, *draws);
    std::vector<float> made = features_.of(sound);
    made.resize(static_cast<size_t>(frames_ * features_.width()));
    return made;
  }

  // Loudness, place in time and noise, as MLPerf Tiny changes what its wake word is trained on.
  void change(std::vector<float>& sound, Draws& draws) const {
    if (!options_.gain.empty()) {
      const auto factor = static_cast<float>(draws.uniform(options_.gain[0], options_.gain[1]));
      for (float& each : sound) each *= factor;
    }
    if (const int64_t farthest = std::min(samples_of(options_.shift_ms), clip_); farthest > 0) {
      const int64_t by = draws.below(2 * farthest + 1) - farthest;
      std::vector<float> moved(sound.size(), 0.0F);
      for (int64_t i = std::max<int64_t>(0, by); i < clip_ && i - by < clip_; ++i) {
        moved[static_cast<size_t>(i)] = sound[static_cast<size_t>(i - by)];
      }
      sound = std::move(moved);
    }
    if (noise_.empty()) return;
    const bool has_noise = draws.uniform(0, 1) < options_.noise_share;
    const auto level = static_cast<float>(draws.uniform(0, options_.noise_level));
    const auto from = static_cast<size_t>(draws.below(static_cast<int64_t>(noise_.size())));
    for (size_t i = 0; has_noise && i < sound.size(); ++i) {
      sound[i] = std::clamp(sound[i] + level * noise_[(from + i) % noise_.size()], -1.0F, 1.0F);
    }
  }

  template <typename Make>
  Batch batch_of(const std::vector<int64_t>& indices, const Make& make) const {
    std::vector<std::vector<float>> made;
    std::vector<int64_t> numbers;
    const at::Tensor labels = labels_of_made(indices, [&](size_t i) {
      made.push_back(make(i));
      if (!places_.empty()) numbers.push_back(places_[static_cast<size_t>(indices[i])].file);
    });
    std::vector<int64_t> shape = options_.sample;
    shape.insert(shape.begin(), static_cast<int64_t>(made.size()));
    at::Tensor all = at::empty(shape, at::kFloat);
    float* to = all.mutable_data_ptr<float>();
    for (const std::vector<float>& each : made) to = put(each, to);
    return {{all}, labels, places_.empty() ? at::Tensor() : at::tensor(numbers, at::kLong)};
  }

  // By hand: this runs on the loader's threads (transforms.cpp).
  float* put(const std::vector<float>& features, float* to) const {
    const int64_t width = features_.width();
    const auto column_of = [&](const std::vector<double>& numbers, int64_t column, double otherwise) {
      return numbers.empty() ? otherwise : numbers[numbers.size() == 1 ? 0 : static_cast<size_t>(column)];
    };
    for (int64_t i = 0; i < frames_ * width; ++i) {
      const int64_t frame = i / width, column = i % width;
      const double value =
          (static_cast<double>(features[static_cast<size_t>(i)]) - column_of(options_.mean, column, 0)) /
          column_of(options_.std, column, 1);
      to[options_.time_last ? column * frames_ + frame : i] = static_cast<float>(value);
    }
    return to + frames_ * width;
  }

  AudioFolderOptions options_;
  audio::Features features_;
  int64_t frames_ = 0;
  int64_t clip_ = 0;           // samples that are heard at once
  std::vector<Place> places_;  // empty: a sample is a file, from its begin
  std::vector<float> noise_;
  Resampled resampled_;
};

}  // namespace

std::shared_ptr<DataSource> audio_folder(const std::string& name, const std::string& folder, Split split,
                                         const AudioFolderOptions& options) {
  return std::make_shared<AudioFolder>(name, folder, split, options);
}

}  // namespace octet
