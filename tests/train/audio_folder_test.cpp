// Folders of recordings as data.
#include "octet/train/audio_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "octet/formats/npy.h"
#include "octet/train/loader.h"
#include "octet/train/open_data.h"
#include "octet/train/tasks.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using audio::FeatureKind;

class AudioFolderTest : public testing::Test {
 protected:
  static std::string recorded(const std::string& name) { return test::data("audio/" + name); }

  void add(const std::string& to, const std::string& name = "word.wav") {
    const fs::path path = folder_.file(to);
    fs::create_directories(path.parent_path());
    fs::copy_file(recorded(name), path);
  }

  void write(const std::string& to, const std::string& text) { std::ofstream(folder_.file(to)) << text; }

  // 16-bit silence of 100 samples.
  static std::string short_wav() {
    std::string text = "RIFF----WAVEfmt ----";
    const auto put = [&](uint32_t value, int bytes) {
      for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
    };
    const auto put_at = [&](size_t place, uint32_t value) {
      for (size_t i = 0; i < 4; ++i) text[place + i] = static_cast<char>(value >> (8 * i));
    };
    for (const uint32_t half : {1U, 1U}) put(half, 2);  // PCM, one channel
    for (const uint32_t word : {16000U, 32000U}) put(word, 4);
    for (const uint32_t half : {2U, 16U}) put(half, 2);
    put_at(16, 16);
    text += "data";
    put(200, 4);
    text.append(200, '\0');
    put_at(4, static_cast<uint32_t>(text.size() - 8));
    return text;
  }

  static AudioFolderOptions sized(std::vector<int64_t> sample, FeatureKind kind = FeatureKind::kMfcc) {
    AudioFolderOptions options;
    options.sample = std::move(sample);
    options.features.kind = kind;
    options.held_out = 0;
    return options;
  }

  std::shared_ptr<DataSource> open(const AudioFolderOptions& options, Split split = Split::kTrain) const {
    return audio_folder("audio", folder_.path(), split, options);
  }

  test::TemporaryFolder folder_;
};

double distance(const at::Tensor& got, const std::string& name) {
  return (got.flatten() - read_npy(test::data("audio/" + name)).flatten()).abs().max().item<double>();
}

// The inputs of MLPerf Tiny's keyword spotting and streaming wake word, in the layouts of a .tflite and of a torch
// model.
TEST_F(AudioFolderTest, GivesWhatTheModelHears) {
  add("yes/1.wav");
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{49, 10, 1}, {1, 49, 10}, {49, 10}, {490}}) {
    const at::Tensor got = open(sized(shape))->get({0}).inputs[0];
    EXPECT_EQ(got.sizes().slice(1), at::IntArrayRef(shape));
    EXPECT_LE(distance(got, "mfcc.npy"), 1e-4);
  }
  EXPECT_LE(distance(open(sized({30, 1, 40}, FeatureKind::kEnergies))->get({0}).inputs[0], "energies.npy"), 1e-5);
  AudioFolderOptions turned = sized({1, 10, 49});
  turned.time_last = true;
  EXPECT_LE(distance(open(turned)->get({0}).inputs[0].transpose(2, 3).contiguous(), "mfcc.npy"), 1e-4);
  AudioFolderOptions scaled = sized({49, 10});
  scaled.mean = {3};
  scaled.std = {2};
  EXPECT_LE(distance(open(scaled)->get({0}).inputs[0] * 2 + 3, "mfcc.npy"), 1e-4);
  const at::Tensor raw = open(sized({1, 20000}, FeatureKind::kSamples))->get({0}).inputs[0];
  EXPECT_EQ(raw.slice(2, 16000).abs().max().item<float>(), 0.0F) << "zeros behind the end";
  EXPECT_GT(raw.slice(2, 0, 16000).abs().max().item<float>(), 0.1F);
}

// As ad01 hears a machine: frames of 128 stacked by five, from one sample to the next a frame on.
TEST_F(AudioFolderTest, ARecordingMayGiveManySamples) {
  add("1.wav");
  AudioFolderOptions options = sized({640}, FeatureKind::kLogMel);
  options.hop_ms = 32;
  const auto all = open(options);
  EXPECT_EQ(all->size(), 1 + (16000 - 3072) / 512);
  EXPECT_FALSE(all->has_targets());
  const at::Tensor frames = read_npy(recorded("log_mel.npy"));
  std::vector<bool> found(static_cast<size_t>(all->size()), false);
  for (int64_t i = 0; i < all->size(); ++i) {
    const at::Tensor got = all->get({i}).inputs[0].view({5, 128});
    for (int64_t j = 0; j < all->size(); ++j) {
      if ((got - frames.slice(0, j, j + 5)).abs().max().item<double>() < 1e-3) found[static_cast<size_t>(j)] = true;
    }
  }
  EXPECT_EQ(std::count(found.begin(), found.end(), true), all->size());
  EXPECT_TRUE(at::equal(all->get({0, 1}).files, at::zeros({2}, at::kLong))) << "both of one file";
  options.part_ms = {500, 900};
  EXPECT_EQ(open(options)->size(), 1 + (6400 - 3072) / 512);
}

// At another rate than its own a recording is resampled once, for all of its samples.
TEST_F(AudioFolderTest, PartsOfAResampledRecordingAreReadOnce) {
  add("1.wav");
  AudioFolderOptions options = sized({1, 8000}, FeatureKind::kSamples);
  options.features.rate = 8000;
  const at::Tensor whole = open(options)->get({0}).inputs[0].flatten();
  options.sample = {1, 800};
  options.hop_ms = 100;
  const auto data = open(options);
  ASSERT_EQ(data->size(), 10);
  std::vector<bool> found(10, false);
  for (int64_t i = 0; i < 10; ++i) {
    const at::Tensor part = data->get({i}).inputs[0].flatten();
    for (int64_t j = 0; j < 10; ++j) {
      if (at::equal(part, whole.slice(0, 800 * j, 800 * (j + 1)))) found[static_cast<size_t>(j)] = true;
    }
    fs::remove(folder_.file("1.wav"));
  }
  EXPECT_EQ(std::count(found.begin(), found.end(), true), 10);
}

TEST_F(AudioFolderTest, WhatIsNoPartOfARecordingIsNotHeard) {
  add("a/1.wav");
  AudioFolderOptions options = sized({1, 16000}, FeatureKind::kSamples);
  const at::Tensor whole = open(options)->get({0}).inputs[0].flatten();
  options.part_ms = {250, 500};
  const at::Tensor part = open(options)->get({0}).inputs[0].flatten();
  EXPECT_TRUE(at::equal(part.slice(0, 0, 4000), whole.slice(0, 4000, 8000)));
  EXPECT_EQ(part.slice(0, 4000).abs().max().item<double>(), 0) << "behind the part";
  write("a/2.wav", short_wav());
  const auto data = open(options);
  EXPECT_EQ(data->size(), 1) << "a recording that ends before the part";
  EXPECT_EQ(data->left_out(), (std::vector<std::string>{folder_.file("a/2.wav")}));
}

TEST_F(AudioFolderTest, NumbersThatAreNoneAreTold) {
  add("a/1.wav");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refuses = [&](const std::function<void(AudioFolderOptions&)>& set, const char* what) {
    AudioFolderOptions options = sized({49, 10});
    set(options);
    EXPECT_TRUE(test::fails_with([&] { open(options); }, what)) << what;
  };
  refuses([&](auto& options) { options.clip_ms = nan; }, "milliseconds of a clip");
  refuses([&](auto& options) { options.shift_ms = 1e300; }, "milliseconds of the time shift: expected 0 to");
  refuses([&](auto& options) { options.hop_ms = nan; }, "milliseconds of a hop");
  refuses([&](auto& options) { options.part_ms = {0, 1e300}; }, "milliseconds of the part");
  refuses([&](auto& options) { options.mean = {nan}; }, "mean");
  refuses([&](auto& options) { options.std = {1 / 0.0}; }, "std");
  refuses([&](auto& options) { options.features.window_ms = nan; }, "milliseconds of a window or a stride");
  refuses([&](auto& options) { options.features.stride_ms = 1e300; }, "milliseconds of a window or a stride");
}

TEST_F(AudioFolderTest, UsualAndAnomalousAreLabelsOfAnAutoencoder) {
  add("train/normal_1.wav");
  add("train/normal_2.wav");
  add("test/normal_3.wav");
  add("test/anomaly_1.wav");
  const auto options = sized({49, 10});
  EXPECT_EQ(open(options, Split::kTest)->class_names(), (std::vector<std::string>{"normal", "anomaly"}));
  EXPECT_EQ(open(options, Split::kTest)->class_counts(), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(open(options)->class_counts(), (std::vector<int64_t>{2, 0}));
  fs::remove_all(folder_.file("train"));
  fs::remove_all(folder_.file("test"));
  add("anomaly/a.wav");
  add("anomaly/b.wav");
  add("normal/c.wav");
  EXPECT_EQ(open(options)->class_counts(), (std::vector<int64_t>{1, 2})) << "by folders: normal is 0";
}

TEST_F(AudioFolderTest, SpeechCommandsListsItsTestData) {
  for (const char* name :
       {"no/1.wav", "no/2.wav", "yes/1.wav", "yes/2.wav", "yes/3.wav", "_background_noise_/hum.wav"}) {
    add(name);
  }
  write("testing_list.txt", "no/1.wav\nyes/2.wav\n");
  write("validation_list.txt", "yes/3.wav\r\n");
  const auto options = sized({49, 10});
  EXPECT_EQ(open(options)->class_counts(), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(open(options, Split::kTest)->class_counts(), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(open(options)->num_classes(), 2);
}

TEST_F(AudioFolderTest, OtherRatesAreBroughtToTheModels) {
  add("a/1.wav");
  AudioFolderOptions options = sized({1, 11025}, FeatureKind::kSamples);
  options.features.rate = 11025;
  const at::Tensor got = open(options)->get({0}).inputs[0].flatten().slice(0, 0, 4000);
  EXPECT_LE(distance(got, "word_11025.npy"), 1e-4);
}

TEST_F(AudioFolderTest, DamagedFilesAreLeftOutAndNamed) {
  for (const char* name : {"a/1.wav", "a/2.wav", "b/3.wav"}) add(name);
  fs::resize_file(folder_.file("a/2.wav"), 20000);
  write("b/4.wav", "text");
  const auto data = open(sized({49, 10}));
  const Batch all = data->get({0, 1, 2, 3});
  EXPECT_EQ(all.size(), 2);
  EXPECT_EQ(all.targets.numel(), 2);
  EXPECT_EQ(data->left_out(), (std::vector<std::string>{folder_.file("a/2.wav"), folder_.file("b/4.wav")}));
  AudioFolderOptions many = sized({640}, FeatureKind::kLogMel);
  many.hop_ms = 32;
  EXPECT_EQ(open(many)->left_out().size(), 2u) << "found where the samples are listed";
  many.strict = true;
  EXPECT_TRUE(test::fails_with([&] { open(many); }, "wav]"));
}

// What is drawn follows from the seed alone, whoever reads it and beside whom.
TEST_F(AudioFolderTest, ChanceComesFromTheSeed) {
  for (const char* name : {"a/1.wav", "a/2.wav", "b/3.wav", "b/4.wav", "noise/n.wav"}) add(name);
  AudioFolderOptions options = sized({1, 16000}, FeatureKind::kSamples);
  options.augment = true;
  fs::rename(folder_.file("noise"), folder_.file(".noise"));
  const at::Tensor plain = open(options)->get({0}).inputs[0].flatten();
  const auto drawn = [&](uint64_t seed) { return open(options)->draw({0}, {seed}).inputs[0].flatten(); };
  options.shift_ms = 10;
  bool moved = false;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const at::Tensor got = drawn(seed);
    bool found = false;
    for (int64_t by = -160; by <= 160; ++by) {
      const int64_t from = std::max<int64_t>(0, by), length = 16000 - std::abs(by);
      found = found || at::equal(got.narrow(0, from, length), plain.narrow(0, from - by, length));
    }
    EXPECT_TRUE(found) << seed;
    moved = moved || !at::equal(got, plain);
  }
  EXPECT_TRUE(moved);
  options.shift_ms = 0;
  options.gain = {0.5, 0.5};
  EXPECT_TRUE(at::allclose(drawn(1), plain * 0.5));
  options.gain.clear();
  options.noise = folder_.file(".noise");
  options.noise_share = 1;
  EXPECT_FALSE(at::equal(drawn(1), plain));
  options.shift_ms = 100;
  options.gain = {0.3, 1.2};
  const auto data = open(options);
  const at::Tensor four = data->draw({0, 1, 2, 3}, {1, 2, 3, 4}).inputs[0];
  EXPECT_TRUE(at::equal(four[2], data->draw({2}, {3}).inputs[0][0]));
  EXPECT_FALSE(at::equal(four[0], four[1]));
  EXPECT_TRUE(at::equal(data->get({0}).inputs[0][0], data->get({1}).inputs[0][0]))
      << "the same recording, nothing drawn";
  const auto epoch = [&](int64_t workers) {
    std::vector<at::Tensor> batches;
    Loader loader(data, {.batch_size = 2, .shuffle = true, .seed = 5, .workers = workers});
    for (const Batch& batch : loader.epoch(1)) batches.push_back(batch.inputs[0]);
    return at::cat(batches);
  };
  EXPECT_TRUE(at::equal(epoch(0), epoch(3)));
}

TEST_F(AudioFolderTest, WrongFoldersAndModelsAreTold) {
  EXPECT_TRUE(test::fails_with([&] { open(sized({49, 10})); }, "no recording below"));
  add("a/1.wav");
  EXPECT_TRUE(test::fails_with([&] { open(sized({3, 32, 32})); }, "[frames, 10], for features of 10 numbers a frame"));
  EXPECT_TRUE(test::fails_with([&] { open(sized({641}, FeatureKind::kLogMel)); }, "[frames, 128]"));
  AudioFolderOptions options = sized({49, 10});
  options.clip_ms = 100;
  EXPECT_TRUE(test::fails_with([&] { open(options); }, "clip: expected at least 15840 samples"));
  options = sized({49, 10});
  options.gain = {2, 1};
  EXPECT_TRUE(test::fails_with([&] { open(options); }, "gain"));
  options = sized({49, 10});
  options.noise = folder_.file("nowhere");
  options.augment = true;
  EXPECT_TRUE(test::fails_with([&] { open(options); }, "nowhere"));
  EXPECT_TRUE(test::fails_with(
      [] {
        open_data("audio:/no/such/folder", Split::kTrain, {.audio = sized({49, 10})});
      },
      "no folder /no/such/folder"));
}

}  // namespace
}  // namespace octet
