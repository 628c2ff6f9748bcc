#include "octet/train/loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "tests/support/error_test.h"

namespace octet {
namespace {

std::shared_ptr<DataSource> numbers(int64_t count) {
  return tensor_source("numbers", {at::arange(count, at::kFloat).view({count, 1})}, at::arange(count, at::kLong));
}

std::vector<int64_t> order(const Loader& loader, int64_t epoch) {
  std::vector<int64_t> seen;
  for (const Batch& batch : loader.epoch(epoch)) {
    EXPECT_TRUE(at::equal(batch.inputs[0].flatten().to(at::kLong), batch.targets));
    for (int64_t i = 0; i < batch.size(); ++i) seen.push_back(batch.targets[i].item<int64_t>());
  }
  return seen;
}

TEST(Loader, KeepsTheOrderAndTheLastBatch) {
  Loader loader(numbers(10), {.batch_size = 4});
  EXPECT_EQ(loader.batches(), 3);
  EXPECT_EQ(order(loader, 0), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  Loader dropping(numbers(10), {.batch_size = 4, .drop_last = true});
  EXPECT_EQ(dropping.batches(), 2);
  EXPECT_EQ(order(dropping, 0).size(), 8u);
}

TEST(Loader, ShufflesByTheSeedAndTheEpochAlone) {
  Loader loader(numbers(100), {.batch_size = 7, .shuffle = true, .seed = 5});
  std::vector<int64_t> first = order(loader, 0);
  at::manual_seed(99);
  EXPECT_EQ(first, order(loader, 0));
  EXPECT_NE(first, order(loader, 1));
  for (int64_t workers : {0, 3}) {
    EXPECT_EQ(first, order(Loader(numbers(100), {.batch_size = 7, .shuffle = true, .seed = 5, .workers = workers}), 0));
  }
  EXPECT_NE(first, order(Loader(numbers(100), {.batch_size = 7, .shuffle = true, .seed = 6}), 0));
  std::sort(first.begin(), first.end());
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(first[static_cast<size_t>(i)], i);
}

TEST(Loader, GoesOnWhereAPassWasLeft) {
  for (const bool drop_last : {false, true}) {
    const Loader loader(numbers(30), {.batch_size = 4, .shuffle = true, .drop_last = drop_last, .seed = 5});
    const std::vector<int64_t> whole = order(loader, 1);
    std::vector<int64_t> rest;
    for (const Batch& batch : loader.epoch(1, 3)) {
      for (int64_t i = 0; i < batch.size(); ++i) rest.push_back(batch.targets[i].item<int64_t>());
    }
    EXPECT_EQ(rest, std::vector<int64_t>(whole.begin() + 12, whole.end()));
    for (const Batch& batch : loader.epoch(1, 8)) ADD_FAILURE() << "a batch behind the end: " << batch.targets;
  }
}

TEST(Loader, DrawsAPartOfTheSamples) {
  Loader loader(numbers(100), {.batch_size = 8, .shuffle = true, .samples = 20});
  EXPECT_EQ(loader.batches(), 3);
  EXPECT_EQ(order(loader, 0).size(), 20u);
  EXPECT_NE(order(loader, 0), order(loader, 1));
}

TEST(Loader, TransformsWithChanceOfTheSampleAndTheEpoch) {
  auto images = image_source("images", at::randint(256, {6, 1, 9, 9}, at::kByte), at::arange(6, at::kLong), 6,
                             {{0.5}, {0.5}, true, 2});
  auto pictures = [&](int64_t batch_size, int64_t workers, int64_t epoch) {
    std::vector<at::Tensor> all;
    Loader loader(images, {.batch_size = batch_size, .seed = 3, .workers = workers, .transform = random_crop(4)});
    for (Batch& batch : loader.epoch(epoch)) all.push_back(batch.inputs[0]);
    return at::cat(all);
  };
  EXPECT_TRUE(at::equal(pictures(1, 0, 0), pictures(4, 2, 0)));
  EXPECT_FALSE(at::equal(pictures(4, 1, 0), pictures(4, 1, 1)));
}

TEST(Loader, PassesErrorsOfTheWorkerOn) {
  for (int64_t workers : {0, 1}) {
    Loader loader(numbers(10), {.batch_size = 4, .workers = workers, .transform = normalise({0.5}, {0.5})});
    EXPECT_TRUE(test::fails_with([&] { order(loader, 0); }, "[normalise] images: expected float32 [N, C, H, W]"));
  }
  EXPECT_TRUE(test::fails_with([] { Loader(numbers(3), {.batch_size = 0}); },
                               "[loader] batch size: expected at least 1, got 0"));
}

/// Numbers of which some can't be read.
class Holes : public DataSource {
 public:
  Holes(int64_t count, std::set<int64_t> missing)
      : DataSource("holes"), whole_(numbers(count)), missing_(std::move(missing)) {}
  int64_t size() const override { return whole_->size(); }
  std::vector<std::vector<int64_t>> sample_shapes() const override { return whole_->sample_shapes(); }
  bool has_targets() const override { return true; }
  int64_t num_classes() const override { return whole_->num_classes(); }
  Batch get(const std::vector<int64_t>& indices) const override {
    std::vector<int64_t> there;
    for (const int64_t index : indices) {
      if (!missing_.contains(index)) there.push_back(index);
    }
    return whole_->get(there);
  }

 private:
  std::shared_ptr<DataSource> whole_;
  std::set<int64_t> missing_;
};

TEST(Loader, LeavesBatchesOutOfWhichNothingCanBeRead) {
  for (const int64_t workers : {0, 2}) {
    const auto some = std::make_shared<Holes>(7, std::set<int64_t>{0, 1, 3, 6});
    EXPECT_EQ(order(Loader(some, {.batch_size = 2, .workers = workers}), 0), (std::vector<int64_t>{2, 4, 5}));
    EXPECT_EQ(order(Loader(some, {.batch_size = 1, .workers = workers}), 0), (std::vector<int64_t>{2, 4, 5}));
    // Training counts its steps: a batch has the next sample that can be read.
    int64_t batches = 0;
    for (const Batch& batch : Loader(some, {.batch_size = 1, .shuffle = true, .workers = workers}).epoch(0)) {
      EXPECT_EQ(batch.size(), 1);
      ++batches;
    }
    EXPECT_EQ(batches, 7);
    const auto none = std::make_shared<Holes>(3, std::set<int64_t>{0, 1, 2});
    for (const bool shuffle : {false, true}) {
      const Loader loader(none, {.batch_size = 2, .shuffle = shuffle, .workers = workers});
      EXPECT_TRUE(test::fails_with([&] { order(loader, 0); }, "[holes] none of its files can be read"));
    }
  }
}

/// Counts the samples that were asked for.
class Counting : public DataSource {
 public:
  explicit Counting(std::shared_ptr<DataSource> whole) : DataSource(whole->name()), whole_(std::move(whole)) {}
  int64_t size() const override { return whole_->size(); }
  std::vector<std::vector<int64_t>> sample_shapes() const override { return whole_->sample_shapes(); }
  bool has_targets() const override { return whole_->has_targets(); }
  int64_t num_classes() const override { return whole_->num_classes(); }
  Batch get(const std::vector<int64_t>& indices) const override {
    made += static_cast<int64_t>(indices.size());
    return whole_->get(indices);
  }
  mutable std::atomic<int64_t> made = 0;

 private:
  std::shared_ptr<DataSource> whole_;
};

TEST(Loader, MayBeLeftHalfway) {
  auto counting = std::make_shared<Counting>(numbers(1000));
  for (const int64_t workers : {0, 2}) {
    counting->made = 0;
    Loader loader(counting, {.batch_size = 4, .workers = workers});
    int64_t taken = 0;
    for (const Batch& batch : loader.epoch(0)) {
      taken += batch.size();
      if (taken == 12) break;
    }
    const int64_t ahead = counting->made - taken;
    EXPECT_GE(ahead, 0) << workers;
    EXPECT_LE(ahead, 4 * 2 * workers) << "batches are prepared ahead, two a worker";
    EXPECT_EQ(order(loader, 0).size(), 1000u) << "another pass is whole";
  }
}

}  // namespace
}  // namespace octet
