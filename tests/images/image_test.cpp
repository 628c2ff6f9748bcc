// Pictures against what PIL and torchvision make of them (tests/data/images/make.py).
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "octet/formats/npy.h"
#include "octet/images/augment.h"
#include "octet/images/image_file.h"
#include "octet/images/rand_augment.h"
#include "octet/images/resample.h"
#include "octet/support/byte_source.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet::images {
namespace {

std::string file(const std::string& name) { return test::data("images/" + name); }

at::Tensor tensor(const Image& image) {
  at::Tensor pixels = at::empty({image.height, image.width, 3}, at::kByte);
  std::copy(image.rgb.begin(), image.rgb.end(), pixels.mutable_data_ptr<uint8_t>());
  return pixels;
}

// Steps of eight bits between an image and the recorded one.
int64_t distance(const Image& image, const std::string& recorded) {
  const at::Tensor expected = read_npy(file(recorded + ".npy")), got = tensor(image);
  if (got.sizes() != expected.sizes()) {
    ADD_FAILURE() << recorded << ": sizes " << got.sizes() << ", expected " << expected.sizes();
    return 256;
  }
  return (got.to(at::kInt) - expected.to(at::kInt)).abs().max().item<int64_t>();
}

TEST(Images, DecodesAsPilDoes) {
  size_t pictures = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::data("images"))) {
    const std::string name = entry.path().filename().string();
    if (!is_image_name(name) || name == "tall.png" || name.ends_with(".webp")) continue;
    ++pictures;
    const Image image = read_image(file(name));
    const ImageSize size = image_size(read_image_file(file(name)), name);
    EXPECT_EQ(std::pair(size.height, size.width), std::pair(image.height, image.width)) << name;
    // libjpeg-turbo's versions round a chroma sample here and there otherwise; nothing is free in a PNG.
    EXPECT_LE(distance(image, name), name.ends_with(".png") ? 0 : 1) << name;
  }
  EXPECT_EQ(pictures, 21u);
}

// Where octet was built without libwebp, its error says so.
TEST(Images, DecodesWebpWhereItsLibraryIsThere) {
  for (const std::string name : {"lossy.webp", "lossless.webp", "alpha.webp"}) {
    try {
      EXPECT_LE(distance(read_image(file(name)), name), name == "lossy.webp" ? 1 : 0) << name;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("built without libwebp"), std::string::npos) << error.what();
      GTEST_SKIP() << "no libwebp";
    }
    const std::string whole = read_file(file(name));
    EXPECT_TRUE(test::fails_with([&] { decode_image(whole.substr(0, whole.size() / 2), "picture"); }, "damaged WebP"));
    for (size_t i = 12; i < whole.size(); i += 3) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ 0x55);
      EXPECT_TRUE(test::works_or_reports([&] { decode_image(bytes, "picture"); })) << name << " byte " << i;
    }
  }
  EXPECT_TRUE(test::fails_with([] { read_image(file("animated")); }, "of several pictures"));
}

TEST(Images, ResizesAndCropsAsTorchvisionDoes) {
  const Image tall = read_image(file("tall.png"));
  EXPECT_EQ(distance(resize_shorter(tall, 16), "resize_16"), 0);
  EXPECT_EQ(distance(resize_shorter(tall, 100), "resize_100"), 0);
  // PIL's newer versions begin with the columns where that is less work: a step here and there.
  EXPECT_LE(distance(resize(tall, 20, 30), "resize_20x30"), 1);
  EXPECT_EQ(distance(resize_shorter(tall, 16, Filter::kBicubic), "resize_16_bicubic"), 0);
  EXPECT_EQ(distance(center_crop(tall, 24, 31), "center_crop_24x31"), 0);
  EXPECT_EQ(distance(center_crop(tall, 64, 50), "center_crop_64x50"), 0);
  EXPECT_LE(distance(resize(crop(tall, {5, 7, 33, 21}), 24, 24), "resized_crop"), 1);
  EXPECT_TRUE(test::fails_with([&] { resize(tall, {0, 0, 99, 1}, 4, 4, Filter::kBilinear); }, "box"));
}

TEST(Images, ChangesColorsAsTorchvisionDoes) {
  const Image tall = read_image(file("tall.png"));
  for (const std::string factor : {"0.4", "1.7"}) {
    const auto changed = [&](void (*change)(Image&, double)) {
      Image image = tall;
      change(image, std::stod(factor));
      return image;
    };
    EXPECT_LE(distance(changed(adjust_brightness), "brightness_" + factor), 1) << factor;
    EXPECT_LE(distance(changed(adjust_contrast), "contrast_" + factor), 1) << factor;
    EXPECT_LE(distance(changed(adjust_saturation), "saturation_" + factor), 1) << factor;
  }
}

// Of the part that make.py changes.
Image part() { return crop(read_image(file("tall.png")), {8, 6, 40, 30}); }

int64_t steps(const Image& image, const at::Tensor& expected) {
  return (tensor(image).to(at::kInt) - expected.to(at::kInt)).abs().max().item<int64_t>();
}

TEST(Images, MakesTheChangesOfRandAugment) {
  const at::Tensor expected = read_npy(file("changes.npy"));
  ASSERT_EQ(expected.size(0), kChanges);
  for (int64_t i = 0; i < kChanges; ++i) {
    const auto change = static_cast<Change>(i);
    for (const int64_t column : {0, 1}) {
      Image image = part();
      const double far = strength(change, column == 0 ? 9 : 20, 31, image.height, image.width);
      apply(image, change, column == 1 && goes_both_ways(change) ? -far : far);
      EXPECT_LE(steps(image, expected[i][column]), 1) << "change " << i << ", column " << column;
    }
  }
  Image turned = part();
  apply(turned, Change::kRotate, strength(Change::kRotate, 25, 31, 40, 30), {10, 200, 30});
  EXPECT_EQ(steps(turned, read_npy(file("rotated_filled.npy"))), 0);
}

TEST(Images, GoesAsFarAsRandAugmentDoes) {
  const at::Tensor expected = read_npy(file("strengths.npy"));
  const std::array<int64_t, 5> magnitudes = {0, 5, 9, 15, 30};
  for (int64_t i = 0; i < kChanges; ++i) {
    for (size_t j = 0; j < magnitudes.size(); ++j) {
      const double far = strength(static_cast<Change>(i), magnitudes[j], 31, 40, 30);
      EXPECT_NEAR(far, expected[i][static_cast<int64_t>(j)].item<double>(), 1e-5) << i << " at " << magnitudes[j];
    }
  }
}

TEST(Images, TurnsTheHue) {
  const at::Tensor expected = read_npy(file("hue.npy"));
  const std::array<double, 4> parts = {-0.5, -0.13, 0.1, 0.37};
  for (size_t i = 0; i < parts.size(); ++i) {
    Image image = part();
    adjust_hue(image, parts[i]);
    EXPECT_LE(steps(image, expected[static_cast<int64_t>(i)]), 1) << parts[i];
  }
}

// By the seed alone; all changes are reached, and both ways.
TEST(Images, RandAugmentDrawsFromTheSeed) {
  const Image before = part();
  std::set<std::vector<uint8_t>> made;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Image image = before, again = before;
    Draws draws(seed), same(seed);
    rand_augment(image, {.changes = 1}, draws);
    rand_augment(again, {.changes = 1}, same);
    EXPECT_EQ(image.rgb, again.rgb);
    made.insert(image.rgb);
  }
  EXPECT_EQ(made.size(), 23u) << "nine both ways, five one way";
}

TEST(Images, AJpegMayComeSmaller) {
  const Image whole = read_image(file("baseline.jpg"));
  const Image half = read_image(file("baseline.jpg"), {.shrink = 2});
  EXPECT_EQ(half.height, (whole.height + 1) / 2);
  const at::Tensor coarse = tensor(resize(whole, half.height, half.width)).to(at::kFloat);
  EXPECT_LT((tensor(half).to(at::kFloat) - coarse).abs().mean().item<double>(), 8.0);
  EXPECT_EQ(read_image(file("tall.png"), {.shrink = 2}).height, read_image(file("tall.png")).height);
}

// The draws follow from the seed, stay inside, and reach what they may.
TEST(Images, RandomBoxesLieInside) {
  double least = 1.0, most = 0.0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Draws draws(seed), again(seed);
    const Box box = random_box(60, 90, draws), same = random_box(60, 90, again);
    EXPECT_EQ(std::tie(box.top, box.left, box.height, box.width),
              std::tie(same.top, same.left, same.height, same.width));
    ASSERT_TRUE(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0 && box.top + box.height <= 60 &&
                box.left + box.width <= 90);
    const double part = static_cast<double>(box.height * box.width) / (60.0 * 90.0);
    const double ratio = static_cast<double>(box.width) / static_cast<double>(box.height);
    EXPECT_TRUE(ratio > 0.7 && ratio < 1.42) << ratio;
    least = std::min(least, part);
    most = std::max(most, part);
  }
  EXPECT_LT(least, 0.1);
  EXPECT_GT(most, 0.85);
}

TEST(Images, AMirroredImageIsTurnedBackByAnother) {
  Image image = read_image(file("tall.png"));
  const Image before = image;
  mirror(image);
  EXPECT_NE(image.rgb, before.rgb);
  EXPECT_TRUE(std::equal(image.at(3, 0), image.at(3, 0) + 3, before.at(3, image.width - 1)));
  mirror(image);
  EXPECT_EQ(image.rgb, before.rgb);
}

TEST(Images, DamagedFilesAreRefused) {
  const auto refused = [](const std::string& bytes, const std::string& part) {
    return test::fails_with([&] { decode_image(bytes, "picture"); }, part);
  };
  EXPECT_TRUE(refused("", "[picture] is empty"));
  EXPECT_TRUE(refused("GIF89a", "neither JPEG nor PNG"));
  for (const std::string name : {"baseline.jpg", "progressive.jpg", "rgb.png", "interlaced.png"}) {
    const std::string whole = read_file(file(name));
    for (const size_t part : {4, 2}) {
      EXPECT_TRUE(refused(whole.substr(0, whole.size() / part), "is a damaged")) << name << " / " << part;
    }
    // Whatever is damaged gives a picture or an error.
    for (size_t i = 8; i < whole.size(); i += 7) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ 0x55);
      EXPECT_TRUE(test::works_or_reports([&] { decode_image(bytes, "picture"); })) << name << " byte " << i;
    }
  }
  std::string huge = read_file(file("rgb.png"));
  huge.replace(16, 8, std::string("\x7f\xff\xff\xff\x7f\xff\xff\xff", 8));
  EXPECT_TRUE(test::fails_with([&] { decode_image(huge, "picture"); }, "picture"));
}

TEST(Images, NamesOfPictures) {
  EXPECT_TRUE(is_image_name("a/b.JPG") && is_image_name("x.jpeg") && is_image_name("y.png"));
  EXPECT_FALSE(is_image_name("a.jpg.txt") || is_image_name("jpg") || is_image_name(""));
}

}  // namespace
}  // namespace octet::images
