// Sounds against what soundfile, librosa and the formulas of tf.signal make of them (tests/data/audio/make.py).
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <cmath>

#include "octet/audio/features.h"
#include "octet/audio/resample.h"
#include "octet/audio/sound_file.h"
#include "octet/formats/npy.h"
#include "octet/support/byte_source.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet::audio {
namespace {

std::string file(const std::string& name) { return test::data("audio/" + name); }

at::Tensor tensor(const std::vector<float>& values) { return at::tensor(values); }

// The greatest difference from a recorded array.
double distance(const std::vector<float>& got, const std::string& recorded) {
  const at::Tensor expected = read_npy(file(recorded)).flatten();
  if (expected.numel() != static_cast<int64_t>(got.size())) {
    ADD_FAILURE() << recorded << ": " << got.size() << " numbers, expected " << expected.numel();
    return INFINITY;
  }
  return (tensor(got) - expected).abs().max().item<double>();
}

TEST(Audio, ReadsEveryEncodingOfWav) {
  for (const std::string name : {"pcm_u8", "pcm_16", "pcm_24", "pcm_32", "float", "double", "channels"}) {
    const Sound sound = read_sound(file(name + ".wav"));
    EXPECT_EQ(sound.rate, 16000) << name;
    EXPECT_LE(distance(sound.samples, name + ".npy"), 1e-7) << name;
  }
}

TEST(Audio, ReadsAPartWithZerosAroundTheRecording) {
  const Sound whole = read_sound(file("pcm_16.wav"));
  SoundFile sound(open_file(file("pcm_16.wav")));
  const int64_t size = sound.size();
  EXPECT_EQ(size, 320);
  const std::vector<float> part = sound.read(-5, size + 10);
  EXPECT_EQ(part.size(), 330u);
  for (int64_t i = 0; i < 330; ++i) {
    const bool inside = i >= 5 && i < 325;
    EXPECT_EQ(part[static_cast<size_t>(i)], inside ? whole.samples[static_cast<size_t>(i - 5)] : 0.0F) << i;
  }
  EXPECT_EQ(sound.read(100, 3), std::vector<float>(whole.samples.begin() + 100, whole.samples.begin() + 103));
  EXPECT_EQ(sound.read(1000, 4), std::vector<float>(4, 0.0F));
}

TEST(Audio, ResamplesAsLibrosaDoes) {
  const Sound word = read_sound(file("word.wav"));
  std::vector<float> made = resample(word.samples, word.rate, 11025);
  EXPECT_EQ(made.size(), 11025u);
  made.resize(4000);
  EXPECT_LE(distance(made, "word_11025.npy"), 1e-4);
  EXPECT_EQ(resample(word.samples, 16000, 16000), word.samples);
  SoundFile sound(open_file(file("word.wav")));
  EXPECT_EQ(sound.size_at(11025), 11025);
  const std::vector<float> part = sound.read_at(11025, -2, 1002);
  EXPECT_EQ(part[1], 0.0F);
  EXPECT_TRUE(std::equal(part.begin() + 2, part.end(), made.begin()));
  EXPECT_TRUE(test::fails_with([&] { resample(word.samples, 16000, 10); }, "samples a second: expected 1000 to"));
}

std::vector<float> heard(FeatureKind kind) {
  Sound word = read_sound(file("word.wav"));
  const Features features({.kind = kind});
  if (features.scales_to_peak()) {
    const float most = *std::max_element(word.samples.begin(), word.samples.end());
    for (float& sample : word.samples) sample /= most;
  }
  return features.of(word.samples);
}

TEST(Audio, HearsWhatMlperfTinyHears) {
  EXPECT_LE(distance(heard(FeatureKind::kMfcc), "mfcc.npy"), 1e-4);
  EXPECT_LE(distance(heard(FeatureKind::kEnergies), "energies.npy"), 1e-5);
  EXPECT_LE(distance(heard(FeatureKind::kLogMel), "log_mel.npy"), 1e-3) << "dB of librosa's float32";
}

TEST(Audio, FeaturesKnowTheirSizes) {
  const Features words({.kind = FeatureKind::kMfcc});
  EXPECT_EQ(std::pair(words.frames(16000), words.width()), std::pair(int64_t{49}, int64_t{10}));
  EXPECT_EQ(words.samples(49), 480 + 48 * 320);
  EXPECT_EQ(words.frames(479), 0);
  const Features machines({.kind = FeatureKind::kLogMel});
  EXPECT_EQ(machines.samples(5), 1024 + 4 * 512);
  EXPECT_EQ(machines.width(), 128);
  const Features slow({.kind = FeatureKind::kMfcc, .rate = 8000, .window_ms = 25, .coefficients = 13});
  EXPECT_EQ(slow.frames(8000), 1 + (8000 - 200) / 160);
  EXPECT_EQ(slow.width(), 13);
  const auto refused = [](const FeatureOptions& options, const std::string& part) {
    return test::fails_with([&] { Features made(options); }, part);
  };
  EXPECT_TRUE(refused({.kind = FeatureKind::kMfcc, .rate = 5}, "samples a second"));
  EXPECT_TRUE(refused({.kind = FeatureKind::kMfcc, .most_hz = 9000}, "up to 8000 Hz"));
  EXPECT_TRUE(refused({.kind = FeatureKind::kMfcc, .coefficients = 41}, "coefficients: expected at most 40"));
  EXPECT_TRUE(refused({.kind = FeatureKind::kLogMel, .window_ms = 1e7}, "samples of a window"));
  EXPECT_TRUE(refused({.kind = FeatureKind::kLogMel, .stride_ms = 1e300}, "milliseconds of a window or a stride"));
  EXPECT_TRUE(test::fails_with([] { feature_kind("plp"); }, "mfcc, logmel, lfbe, samples, got 'plp'"));
}

TEST(Audio, DamagedFilesAreRefused) {
  const auto refused = [](const std::string& bytes, const std::string& part) {
    return test::fails_with([&] { decode_sound(bytes, "sound"); }, part);
  };
  EXPECT_TRUE(refused("", "[sound] is empty"));
  EXPECT_TRUE(refused("OggS and more of the kind", "no WAV file"));
  EXPECT_TRUE(refused(read_file(file("adpcm.wav")), "encoding: expected PCM of 8 to 32 bits, or floats"));
  const std::string whole = read_file(file("pcm_16.wav"));
  EXPECT_TRUE(refused(whole.substr(0, whole.size() / 2), "is cut off"));
  EXPECT_TRUE(refused(whole.substr(0, 40), "sound"));
  for (size_t i = 0; i < 60; ++i) {
    for (const char with : {'\0', '\x7f', '\xff'}) {
      std::string bytes = whole;
      bytes[i] = with;
      EXPECT_TRUE(test::works_or_reports([&] { decode_sound(bytes, "sound"); })) << "byte " << i;
    }
  }
  std::string infinite = read_file(file("float.wav"));
  infinite.replace(infinite.size() - 4, 4, "\xff\xff\xff\x7f");
  EXPECT_TRUE(refused(infinite, "a sample is no number"));
}

// A header may say of a small rate that it is to become large.
TEST(Audio, RatesBuyNoMemory) {
  std::string slow = read_file(file("pcm_u8.wav"));
  slow.replace(24, 4, std::string("\xe8\x03\0\0", 4));  // 1,000 samples a second
  SoundFile small(memory_source("sound", slow));
  EXPECT_EQ(small.size_at(768000), 320 * 768);
  EXPECT_EQ(small.read_at(768000, 0, 10).size(), 10u);
  slow.replace(40, 4, std::string("\0\0\x10\0", 4));  // a megabyte
  slow.resize(44 + (1 << 20), '\x80');
  SoundFile large(memory_source("sound", slow));
  EXPECT_TRUE(test::fails_with([&] { large.read_at(768000, 0, 10); }, "its samples at another rate"));
}

// A program that writes to a pipe does not know how much will come.
TEST(Audio, AnUnknownLengthIsTheFilesOwn) {
  std::string open = read_file(file("pcm_16.wav"));
  const size_t data = open.find("data");
  open.replace(data + 4, 4, "\xff\xff\xff\xff");
  open.replace(4, 4, "\xff\xff\xff\xff");
  EXPECT_EQ(decode_sound(open, "sound").samples, read_sound(file("pcm_16.wav")).samples);
}

TEST(Audio, NamesOfSounds) {
  EXPECT_TRUE(is_sound_name("a/b.WAV") && is_sound_name("x.wav"));
  EXPECT_FALSE(is_sound_name("a.wav.txt") || is_sound_name("wav") || is_sound_name("a.mp3"));
}

}  // namespace
}  // namespace octet::audio
