// MixUp and CutMix, and the losses of soft targets.
#include "octet/train/mix.h"

#include <gtest/gtest.h>

#include "octet/train/loader.h"
#include "octet/train/task.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

// Picture n holds n everywhere, and has label n % classes.
Batch pictures(int64_t count, int64_t classes) {
  const at::Tensor numbers = at::arange(count, at::kFloat);
  return {{numbers.view({count, 1, 1, 1}).expand({count, 2, 6, 8}).contiguous()},
          at::arange(count, at::kLong).remainder(classes)};
}

std::shared_ptr<DataSource> source(int64_t count) {
  const Batch all = pictures(count, 5);
  return image_source("pictures", all.inputs[0].to(at::kByte), all.targets, 5, {{0, 0}, {1, 1}});
}

double share_of(const Batch& batch) { return batch.targets[1][1].item<double>(); }

TEST(Mix, MixUpIsTheSumOfTwoByOneShare) {
  const Batch before = pictures(4, 4);
  Batch batch = before;
  batch.inputs[0] = before.inputs[0].clone();
  mix(batch, last_sample(batch), {.mixup = 0.4, .classes = 4}, 7);
  const double share = share_of(batch);
  EXPECT_GT(share, 0);
  EXPECT_LT(share, 1);
  const at::Tensor wanted = before.inputs[0] * share + before.inputs[0].roll(1, 0) * (1 - share);
  EXPECT_TRUE(at::allclose(batch.inputs[0], wanted, 0, 1e-6));
  const at::Tensor labels = at::one_hot(before.targets, 4).to(at::kFloat);
  EXPECT_TRUE(at::allclose(batch.targets, labels * share + labels.roll(1, 0) * (1 - share), 0, 1e-6));
}

TEST(Mix, CutMixPutsInABoxAndCountsItsArea) {
  for (const bool channels_last : {false, true}) {
    bool cuts = false;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Batch batch = pictures(3, 3);
      if (channels_last) batch.inputs[0] = batch.inputs[0].permute({0, 2, 3, 1}).contiguous();
      mix(batch, last_sample(batch), {.cutmix = 1, .classes = 3, .channels_last = channels_last}, seed);
      // Of picture 1 the pixels of the box are 0.
      const double kept = batch.inputs[0][1].mean().item<double>();
      EXPECT_NEAR(share_of(batch), kept, 1e-6);
      const at::Tensor one = batch.inputs[0][1], zero = one.eq(0), as_one = one.eq(1);
      EXPECT_TRUE(at::logical_or(zero, as_one).all().item<bool>());
      cuts = cuts || (kept > 0 && kept < 1);
    }
    EXPECT_TRUE(cuts);
  }
}

TEST(Mix, RefusesWhatItCannotMix) {
  Batch batch = {{at::ones({2, 7})}, at::arange(2, at::kLong)};
  EXPECT_TRUE(test::fails_with([&] { mix(batch, last_sample(batch), {.cutmix = 1, .classes = 2}, 1); }, "CutMix"));
  EXPECT_TRUE(test::fails_with([&] { mix(batch, last_sample(batch), {.mixup = 1}, 1); }, "number of classes"));
  const auto numbers = tensor_source("numbers", {at::ones({4, 3})}, at::zeros({4}, at::kLong));
  EXPECT_TRUE(test::fails_with([&] { Loader(numbers, {.shuffle = true, .mix = {.cutmix = 1}}); }, "is for pictures"));
}

struct Seen {
  at::Tensor inputs, targets;
};

Seen epoch(const LoaderOptions& options, int64_t first = 0) {
  std::vector<at::Tensor> inputs, targets;
  const Loader loader(source(24), options);
  for (const Batch& batch : loader.epoch(2, first)) {
    inputs.push_back(batch.inputs[0]);
    targets.push_back(batch.targets);
  }
  return {at::stack(inputs), at::stack(targets)};
}

// Whoever prepares it, and wherever the run goes on.
TEST(Mix, FollowsFromTheSeedTheEpochAndTheBatch) {
  LoaderOptions options{
      .batch_size = 6, .shuffle = true, .drop_last = true, .seed = 3, .mix = {.mixup = 0.5, .cutmix = 1}};
  const Seen whole = epoch(options);
  EXPECT_EQ(whole.targets.sizes(), (std::vector<int64_t>{4, 6, 5}));
  options.workers = 3;
  EXPECT_TRUE(at::equal(whole.inputs, epoch(options).inputs));
  const Seen rest = epoch(options, 2);
  EXPECT_TRUE(at::equal(whole.inputs.slice(0, 2), rest.inputs));
  EXPECT_TRUE(at::equal(whole.targets.slice(0, 2), rest.targets));
  options.seed = 4;
  EXPECT_FALSE(at::equal(whole.inputs, epoch(options).inputs));
}

// Two processes see together what one sees.
TEST(Mix, PartsAreThoseOfTheWholeBatch) {
  LoaderOptions options{
      .batch_size = 6, .shuffle = true, .drop_last = true, .seed = 3, .mix = {.mixup = 0.5, .cutmix = 1}};
  const Seen whole = epoch(options);
  options.batch_size = 3;
  options.parts = 2;
  for (const int64_t part : {0, 1}) {
    options.part = part;
    const Seen own = epoch(options);
    EXPECT_TRUE(at::equal(own.inputs, whole.inputs.slice(1, 3 * part, 3 * part + 3)));
    EXPECT_TRUE(at::equal(own.targets, whole.targets.slice(1, 3 * part, 3 * part + 3)));
  }
}

TEST(Mix, EvaluationsSeeSamplesAsTheyAre) {
  const Loader loader(source(6), {.batch_size = 6, .mix = {.mixup = 1}});
  for (const Batch& batch : loader.epoch(0)) EXPECT_EQ(batch.targets.scalar_type(), at::kLong);
}

// The loss is the same sum of the two labels' losses; with smoothing and weights too.
TEST(Mix, SoftTargetsHaveALoss) {
  at::manual_seed(1);
  const at::Tensor logits = at::randn({4, 6});
  Batch hard = {{at::zeros({4, 1})}, at::tensor({0, 3, 2, 1}, at::kLong)};
  Batch soft = hard;
  soft.targets = at::one_hot(hard.targets, 4).to(at::kFloat) * 0.7 + at::one_hot(hard.targets.roll(1, 0), 4) * 0.3;
  Batch others = hard;
  others.targets = hard.targets.roll(1, 0);
  for (const double smoothing : {0.0, 0.1}) {
    const Task task = classification(smoothing);
    task.check_output(logits, soft, "test");
    const double wanted = 0.7 * task.loss(logits, hard).item<double>() + 0.3 * task.loss(logits, others).item<double>();
    EXPECT_NEAR(task.loss(logits, soft).item<double>(), wanted, 1e-5);
    EXPECT_EQ(task.metrics[0].sum(logits, soft), task.metrics[0].sum(logits, hard)) << "the greater share is the label";
  }
  soft.targets = at::zeros({4, 7});
  EXPECT_TRUE(test::fails_with([&] { classification().check_output(logits, soft, "test"); }, "soft targets"));
}

}  // namespace
}  // namespace octet
