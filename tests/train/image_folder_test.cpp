// Folders of pictures as data.
#include "octet/train/image_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "octet/formats/npy.h"
#include "octet/images/image_file.h"
#include "octet/train/loader.h"
#include "octet/train/open_data.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

class ImageFolderTest : public testing::Test {
 protected:
  static std::string picture(const std::string& name) { return test::data("images/" + name); }

  void add(const std::string& to, const std::string& name) {
    const fs::path path = folder_.file(to);
    fs::create_directories(path.parent_path());
    fs::copy_file(picture(name), path);
  }

  static ImageFolderOptions sized(std::vector<int64_t> sample) {
    ImageFolderOptions options;
    options.sample = std::move(sample);
    options.held_out = 0.0;
    return options;
  }

  std::shared_ptr<DataSource> open(const ImageFolderOptions& options, Split split = Split::kTrain) const {
    return image_folder("images", folder_.path(), split, options);
  }

  static std::vector<int64_t> labels(const DataSource& data) {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < data.size(); ++i) all.push_back(data.get({i}).targets.item<int64_t>());
    std::sort(all.begin(), all.end());
    return all;
  }

  test::TemporaryFolder folder_;
};

TEST_F(ImageFolderTest, AFolderIsAClass) {
  add("dogs/tall.png", "tall.png");
  add("dogs/more/rgb.PNG", "rgb.png");
  add("cats/a.jpg", "baseline.jpg");
  std::ofstream(folder_.file("cats/notes.txt")) << "no picture";
  const auto data = open(sized({3, 24, 31}));
  EXPECT_EQ(data->class_names(), (std::vector<std::string>{"cats", "dogs"}));
  EXPECT_EQ(data->num_classes(), 2);
  EXPECT_EQ(labels(*data), (std::vector<int64_t>{0, 1, 1}));
  EXPECT_EQ(data->sample_shapes(), (std::vector<std::vector<int64_t>>{{3, 24, 31}}));
  EXPECT_EQ(data->get({0, 2}).inputs[0].sizes(), (std::vector<int64_t>{2, 3, 24, 31}));
}

// Links are followed; those that lead in circles end, and a folder that two of them lead to counts once in a class.
TEST_F(ImageFolderTest, LinksMayLeadInCircles) {
  add("dogs/more/tall.png", "tall.png");
  add("cats/a.jpg", "baseline.jpg");
  fs::create_directory_symlink("..", folder_.path() + "/dogs/more/up");
  fs::create_directory_symlink("../cats", folder_.path() + "/dogs/cats");
  fs::create_directory_symlink("../dogs", folder_.path() + "/cats/dogs");
  EXPECT_EQ(labels(*open(sized({3, 24, 31}))), (std::vector<int64_t>{0, 0, 1, 1}));
}

// As torchvision's CenterCrop of the picture: 45 x 61 is brought to nothing else where --resize names its own side.
TEST_F(ImageFolderTest, MeasuresWhatTorchvisionMeasures) {
  add("a/tall.png", "tall.png");
  ImageFolderOptions options = sized({3, 24, 31});
  options.resize = 45;
  const at::Tensor got = open(options)->get({0}).inputs[0][0];
  const at::Tensor expected = read_npy(picture("center_crop_24x31.npy")).permute({2, 0, 1}).to(at::kFloat) / 255;
  EXPECT_TRUE(at::allclose(got, expected, 0, 1e-6));
}

TEST_F(ImageFolderTest, GreyModelsGetBrightness) {
  add("a/grey.png", "grey.png");
  const at::Tensor got = open(sized({1, 9, 9}))->get({0}).inputs[0];
  EXPECT_EQ(got.sizes(), (std::vector<int64_t>{1, 1, 9, 9}));
  EXPECT_GT(got.max().item<float>(), 0.3F);
}

TEST_F(ImageFolderTest, TrainAndValAreTheSplit) {
  add("train/b/1.png", "rgb.png");
  add("train/c/1.png", "rgb.png");
  add("val/c/2.png", "rgb.png");
  EXPECT_EQ(labels(*open(sized({3, 8, 8}))), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(labels(*open(sized({3, 8, 8}), Split::kTest)), (std::vector<int64_t>{1})) << "train's numbers";
  add("val/unknown/2.png", "rgb.png");
  EXPECT_TRUE(test::fails_with([&] { open(sized({3, 8, 8}), Split::kTest); }, "class 'unknown' of"));
}

TEST_F(ImageFolderTest, AnUnsplitFolderIsSplitByNames) {
  for (int i = 0; i < 60; ++i) add("c" + std::to_string(i % 3) + "/" + std::to_string(i) + ".png", "rgb.png");
  ImageFolderOptions options = sized({3, 8, 8});
  options.held_out = 0.25;
  const int64_t train = open(options)->size(), held_out = open(options, Split::kTest)->size();
  EXPECT_EQ(train + held_out, 60);
  EXPECT_GT(held_out, 5);
  EXPECT_LT(held_out, 28);
  // The first ones are of all classes.
  const auto first = first_samples(open(options), 9);
  EXPECT_EQ(std::set<int64_t>({0, 1, 2}), [&] {
    const std::vector<int64_t> found = labels(*first);
    return std::set<int64_t>(found.begin(), found.end());
  }());
}

TEST_F(ImageFolderTest, PicturesWithoutAClassHaveNoLabels) {
  add("1.png", "rgb.png");
  const auto data = open(sized({3, 8, 8}));
  EXPECT_FALSE(data->has_targets());
  EXPECT_FALSE(data->get({0}).targets.defined());
}

TEST_F(ImageFolderTest, DamagedFilesAreLeftOutAndNamed) {
  for (const char* name : {"a/1.png", "a/2.png", "b/3.png"}) add(name, "rgb.png");
  fs::resize_file(folder_.file("a/2.png"), 60);
  std::ofstream(folder_.file("b/4.jpg")) << "text";
  const auto data = open(sized({3, 8, 8}));
  const Batch all = data->get({0, 1, 2, 3});
  EXPECT_EQ(all.size(), 2);
  EXPECT_EQ(all.targets.numel(), 2);
  data->get({0, 1, 2, 3});
  EXPECT_EQ(data->left_out(), (std::vector<std::string>{folder_.file("a/2.png"), folder_.file("b/4.jpg")}));
  for (const bool trains : {false, true}) {
    int64_t samples = 0;
    for (const Batch& batch : Loader(data, {.batch_size = 1, .shuffle = trains}).epoch(0)) samples += batch.size();
    EXPECT_EQ(samples, trains ? 4 : 2) << "a batch that is damaged whole";
  }
  ImageFolderOptions strict = sized({3, 8, 8});
  strict.strict = true;
  EXPECT_TRUE(test::fails_with(
                  [&] {
                    open(strict)->get({0, 1, 2, 3});
                  },
                  ".png] is a damaged PNG") ||
              test::fails_with(
                  [&] {
                    open(strict)->get({0, 1, 2, 3});
                  },
                  ".jpg] is no picture"));
}

// What is drawn follows from the seed alone, whoever reads it and beside whom.
TEST_F(ImageFolderTest, ChanceComesFromTheSeed) {
  for (const char* name : {"a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg"}) add(name, "baseline.jpg");
  ImageFolderOptions options = sized({3, 16, 16});
  options.augment = true;
  options.jitter = {0.4, 0.4, 0.4, 0.1};
  options.rand_augment.changes = 2;
  const auto data = open(options);
  const at::Tensor four = data->draw({0, 1, 2, 3}, {1, 2, 3, 4}).inputs[0];
  EXPECT_TRUE(at::equal(four[2], data->draw({2}, {3}).inputs[0][0]));
  EXPECT_FALSE(at::equal(four[0], four[1]));
  EXPECT_TRUE(at::equal(data->get({0}).inputs[0][0], data->get({1}).inputs[0][0])) << "the same picture, nothing drawn";

  const auto epoch = [&](int64_t workers) {
    std::vector<at::Tensor> batches;
    Loader loader(data, {.batch_size = 2, .shuffle = true, .seed = 5, .workers = workers});
    for (const Batch& batch : loader.epoch(1)) batches.push_back(batch.inputs[0]);
    return at::cat(batches);
  };
  EXPECT_TRUE(at::equal(epoch(1), epoch(3)));
  EXPECT_TRUE(at::equal(epoch(1), epoch(0)));
}

TEST_F(ImageFolderTest, WrongFoldersAndModelsAreTold) {
  EXPECT_TRUE(test::fails_with([&] { open(sized({3, 8, 8})); }, "no picture below"));
  add("a/1.png", "rgb.png");
  EXPECT_TRUE(test::fails_with([&] { open(sized({4, 8, 8})); }, "model input: expected [3, height, width]"));
  EXPECT_TRUE(test::fails_with([&] { open(sized({16})); }, "model input"));
  ImageFolderOptions options = sized({3, 8, 8});
  options.rand_augment = {.changes = 2, .magnitude = 31};
  EXPECT_TRUE(test::fails_with([&] { open(options); }, "RandAugment's magnitude: expected 0 to 30, got 31"));
  options = sized({3, 8, 8});
  options.jitter.hue = 0.6;
  EXPECT_TRUE(test::fails_with([&] { open(options); }, "jitter of the hue: expected at most 0.5, got 0.6"));
  options = sized({3, 8, 8});
  options.mean = {0.5};
  EXPECT_TRUE(test::fails_with([&] { open(options); }, "mean and std: expected 3 numbers each"));
  EXPECT_TRUE(test::fails_with(
      [] {
        open_data("images:/no/such/folder", Split::kTrain, {.images = sized({3, 8, 8})});
      },
      "no folder /no/such/folder"));
}

}  // namespace
}  // namespace octet
