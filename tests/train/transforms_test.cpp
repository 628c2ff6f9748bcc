#include "octet/train/transforms.h"

#include <gtest/gtest.h>

#include <cstring>

#include "octet/images/rand_augment.h"
#include "octet/support/error.h"
#include "octet/train/data_source.h"

namespace octet {
namespace {

at::Tensor ramp(at::IntArrayRef sizes) {
  int64_t count = 1;
  for (int64_t size : sizes) count *= size;
  return at::arange(count, at::kFloat).reshape(sizes) + 1;
}

TEST(Transforms, NormaliseWorksPerChannel) {
  at::Tensor x = ramp({2, 3, 4, 5});
  at::Tensor y = normalise({0.1, 0.2, 0.3}, {0.5, 2.0, 1.0})(x.clone(), {1, 2});
  at::Tensor mean = at::tensor({0.1F, 0.2F, 0.3F}).view({3, 1, 1}),
             std = at::tensor({0.5F, 2.0F, 1.0F}).view({3, 1, 1});
  EXPECT_TRUE(at::allclose(y, (x - mean) / std));
  EXPECT_THROW(normalise({0.1}, {0.5})(x, {1, 2}), Error);
  EXPECT_THROW(normalise({0.1}, {0.0}), Error);
}

TEST(Transforms, PadPutsTheImageInTheMiddle) {
  at::Tensor x = ramp({2, 1, 28, 28});
  EXPECT_TRUE(at::equal(pad_to(32, 32)(x, {}), at::constant_pad_nd(x, {2, 2, 2, 2})));
  EXPECT_TRUE(at::equal(pad_to(28, 31)(x, {}), at::constant_pad_nd(x, {1, 2, 0, 0})));
  EXPECT_THROW(pad_to(20, 40)(x, {}), Error);
}

TEST(Transforms, CropIsAWindowOfThePaddedImageChosenByTheSeed) {
  at::Tensor x = ramp({1, 2, 6, 5});
  at::Tensor padded = at::constant_pad_nd(x, {2, 2, 2, 2});
  std::set<std::pair<int64_t, int64_t>> places;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    at::Tensor y = random_crop(2)(x, {seed});
    bool found = false;
    for (int64_t top = 0; top <= 4 && !found; ++top) {
      for (int64_t left = 0; left <= 4 && !found; ++left) {
        if (at::equal(y, padded.slice(2, top, top + 6).slice(3, left, left + 5))) {
          found = true;
          places.emplace(top, left);
        }
      }
    }
    ASSERT_TRUE(found) << seed;
    EXPECT_TRUE(at::equal(y, random_crop(2)(x, {seed})));
  }
  EXPECT_EQ(places.size(), 25u);
}

TEST(Transforms, MirrorFlipsHalfOfTheImages) {
  at::Tensor x = ramp({400, 1, 2, 3});
  SampleSeeds seeds(400);
  for (size_t i = 0; i < seeds.size(); ++i) seeds[i] = i;
  at::Tensor y = random_mirror()(x.clone(), seeds);
  int64_t flipped = 0;
  for (int64_t i = 0; i < 400; ++i) {
    bool same = at::equal(y[i], x[i]);
    ASSERT_TRUE(same || at::equal(y[i], x[i].flip(2)));
    flipped += same ? 0 : 1;
  }
  EXPECT_NEAR(static_cast<double>(flipped), 200, 40);
  EXPECT_TRUE(at::equal(random_mirror(1.0)(x.clone(), seeds), x.flip(3)));
  EXPECT_TRUE(at::equal(random_mirror(0.0)(x.clone(), seeds), x));
}

TEST(Transforms, AnImageDoesNotDependOnItsBatch) {
  Transform steps = compose({random_crop(3), random_mirror()});
  at::Tensor x = ramp({3, 1, 8, 8});
  at::Tensor together = steps(x.clone(), {11, 12, 13});
  EXPECT_TRUE(at::equal(together.slice(0, 1, 2), steps(x.slice(0, 1, 2).clone(), {12})));
}

TEST(Transforms, ResizeIsBilinear) {
  at::Tensor x = ramp({1, 2, 8, 8});
  at::Tensor larger = at::upsample_bilinear2d(x, {16, 12}, false);
  EXPECT_TRUE(at::allclose(resize(16, 12)(x, {}), larger));
  // Antialiasing keeps the mean of a shrunk ramp.
  EXPECT_NEAR(resize(2, 2)(x, {}).mean().item<double>(), x.mean().item<double>(), 1e-4);
}

// What folders of pictures do, on sets of them: grey ones stay grey.
TEST(Transforms, RandomChangesAreRandAugment) {
  const images::RandAugment options = {.changes = 2, .magnitude = 12, .fill = {9, 9, 9}};
  const Transform change = random_changes(options);
  at::manual_seed(4);
  const at::Tensor levels = at::randint(256, {24, 3, 9, 7}, at::kByte);
  const at::Tensor x = levels.to(at::kFloat) / 255.0;
  SampleSeeds seeds(24);
  for (size_t i = 0; i < seeds.size(); ++i) seeds[i] = 31 * i + 5;
  const at::Tensor colored = change(x.clone(), seeds), grey = change(x.narrow(1, 0, 1).clone(), seeds);
  int64_t changed = 0;
  for (int64_t n = 0; n < 24; ++n) {
    const auto expected = [&](const at::Tensor& rgb) {
      images::Image image = images::make_image(9, 7);
      std::memcpy(image.rgb.data(), rgb.permute({1, 2, 0}).contiguous().const_data_ptr(), image.rgb.size());
      Draws draws(seeds[static_cast<size_t>(n)]);
      images::rand_augment(image, options, draws);
      return at::from_blob(image.rgb.data(), {9, 7, 3}, at::kByte).permute({2, 0, 1}).to(at::kFloat) / 255.0;
    };
    EXPECT_TRUE(at::allclose(colored[n], expected(levels[n]))) << n;
    EXPECT_TRUE(at::allclose(grey[n], expected(levels[n].narrow(0, 0, 1).expand({3, 9, 7})).narrow(0, 0, 1))) << n;
    EXPECT_TRUE(at::equal(change(x.narrow(0, n, 1).clone(), {seeds[static_cast<size_t>(n)]})[0], colored[n])) << n;
    changed += at::allclose(colored[n], x[n]) ? 0 : 1;
  }
  EXPECT_GT(changed, 12);
  EXPECT_THROW(change(at::zeros({1, 2, 4, 4}), {1}), Error);
}

TEST(StandardTransform, FitsTheDataToTheModel) {
  auto data = image_source("grey", at::randint(256, {2, 1, 28, 28}, at::kByte), {}, 0, {{0.25}, {0.5}, true, 2});
  at::Tensor x = data->get({0, 1}).inputs[0];
  at::Tensor expected_pad = (at::constant_pad_nd(x, {2, 2, 2, 2}) - 0.25) / 0.5;
  EXPECT_TRUE(at::allclose(standard_transform(*data, {1, 32, 32}, false)(x.clone(), {1, 2}), expected_pad));
  EXPECT_EQ(standard_transform(*data, {1, 96, 96}, false)(x.clone(), {1, 2}).sizes(), (at::IntArrayRef{2, 1, 96, 96}));
  EXPECT_TRUE(at::allclose(standard_transform(*data, {1, 28, 28}, false)(x.clone(), {1, 2}), (x - 0.25) / 0.5));
  at::Tensor augmented = standard_transform(*data, {1, 32, 32}, true)(x.clone(), {1, 2});
  EXPECT_FALSE(at::allclose(augmented, expected_pad));
  const images::RandAugment changes = {.changes = 2};
  EXPECT_FALSE(at::allclose(standard_transform(*data, {1, 32, 32}, true, changes)(x.clone(), {1, 2}), augmented));
  EXPECT_TRUE(at::allclose(standard_transform(*data, {1, 32, 32}, false, changes)(x.clone(), {1, 2}), expected_pad));
  EXPECT_THROW(standard_transform(*data, {3, 32, 32}, false), Error);
  EXPECT_FALSE(standard_transform(*tensor_source("t", {at::zeros({2, 3})}), {3}, true));
}

}  // namespace
}  // namespace octet
