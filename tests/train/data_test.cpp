#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "octet/formats/npy.h"
#include "octet/support/error.h"
#include "octet/train/open_data.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

std::string u32(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string idx_images(uint32_t count, uint32_t height, uint32_t width, size_t bytes) {
  std::string file = u32(0x803) + u32(count) + u32(height) + u32(width);
  for (size_t i = 0; i < bytes; ++i) file += static_cast<char>(i * 7 % 256);
  return file;
}
std::string idx_labels(const std::vector<int>& labels) {
  std::string file = u32(0x801) + u32(static_cast<uint32_t>(labels.size()));
  for (int label : labels) file += static_cast<char>(label);
  return file;
}
void write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
void write_gzip(const std::string& path, const std::string& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}
std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

#define EXPECT_SAYS(action, part)                \
  do {                                           \
    std::string said = message([&] { action; }); \
    EXPECT_TRUE(contains(said, part)) << said;   \
  } while (false)

class IdxTest : public ::testing::Test {
 protected:
  void images(const std::string& bytes) { write(folder_.file("train-images-idx3-ubyte"), bytes); }
  void labels(const std::string& bytes) { write(folder_.file("train-labels-idx1-ubyte"), bytes); }
  std::shared_ptr<DataSource> open() { return open_data("idx:" + folder_.path(), Split::kTrain); }
  test::TemporaryFolder folder_;
};

TEST_F(IdxTest, ReadsPlainFiles) {
  images(idx_images(3, 2, 4, 24));
  labels(idx_labels({1, 0, 4}));
  auto data = open();
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(data->num_classes(), 5);
  EXPECT_EQ(data->sample_shapes(), (std::vector<std::vector<int64_t>>{{1, 2, 4}}));
  Batch batch = data->get({2, 0});
  EXPECT_EQ(batch.inputs[0].sizes(), (at::IntArrayRef{2, 1, 2, 4}));
  EXPECT_FLOAT_EQ(batch.inputs[0][0][0][0][1].item<float>(), (17 * 7 % 256) / 255.0F);
  EXPECT_FLOAT_EQ(batch.inputs[0][1][0][1][3].item<float>(), 49 / 255.0F);
  EXPECT_TRUE(at::equal(batch.targets, at::tensor({4, 1}, at::kLong)));
  EXPECT_SAYS(data->get({3}), "sample number: expected 0 to 2, got 3");
}

TEST_F(IdxTest, ReadsGzipFilesAndTheTestSplit) {
  write_gzip(folder_.file("t10k-images-idx3-ubyte.gz"), idx_images(2, 28, 28, 1568));
  write_gzip(folder_.file("t10k-labels-idx1-ubyte.gz"), idx_labels({9, 3}));
  auto data = open_data("idx:" + folder_.path(), Split::kTest);
  EXPECT_EQ(data->size(), 2);
  EXPECT_TRUE(at::equal(data->get({0, 1}).targets, at::tensor({9, 3}, at::kLong)));
}

TEST_F(IdxTest, RefusesMalformedFiles) {
  labels(idx_labels({1, 0, 4}));
  EXPECT_SAYS(open(), "holds no 'train-images-idx3-ubyte'");
  images("");
  EXPECT_SAYS(open(), "truncated in its header");
  images(idx_images(3, 2, 4, 24).replace(3, 1, "\x01"));
  EXPECT_SAYS(open(), "IDX magic: expected 0x00000803, got 0x00000801");
  images(idx_images(3, 2, 4, 23));
  EXPECT_SAYS(open(), "bytes of data: expected 24, got 23");
  images(idx_images(3, 2, 4, 25));
  EXPECT_SAYS(open(), "goes on behind its 24 bytes");
  images(idx_images(0, 2, 4, 0));
  EXPECT_SAYS(open(), "holds no samples");
  images(idx_images(3, 0, 4, 0));
  EXPECT_SAYS(open(), "dimension 1: expected 1 to");
  images(idx_images(0xffffffff, 0xffffffff, 4, 10));
  EXPECT_SAYS(open(), "dimension 1");
  images(idx_images(0xffffffff, 16384, 16384, 10));
  EXPECT_SAYS(open(), "the data that its header claims would take");
  // A false length within the limits must not cost its memory first.
  images(idx_images(6000, 100, 100, 10));
  EXPECT_SAYS(open(), "expected 60000000, got 10");
  images(idx_images(2, 2, 4, 16));
  EXPECT_SAYS(open(), "labels: expected 2, got 3");
}

TEST_F(IdxTest, RefusesDamagedGzip) {
  labels(idx_labels({1}));
  const std::string path = folder_.file("train-images-idx3-ubyte.gz");
  write_gzip(path, idx_images(1, 100, 100, 10000));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  std::string said = message([&] { open(); });
  EXPECT_TRUE(contains(said, "truncated")) << said;
}

TEST_F(IdxTest, FashionMnistHasTenClasses) {
  images(idx_images(2, 28, 28, 1568));
  labels(idx_labels({1, 10}));
  setenv("OCTET_DATA_DIR", folder_.path().c_str(), 1);
  EXPECT_SAYS(open_data("fashion-mnist", Split::kTrain), "label of sample 1: expected 0 to 9, got 10");
  labels(idx_labels({1, 9}));
  auto data = open_data("fashion-mnist", Split::kTrain);
  EXPECT_EQ(data->num_classes(), 10);
  EXPECT_DOUBLE_EQ(data->image_facts()->mean[0], 0.2860);
  EXPECT_TRUE(data->image_facts()->mirror);
  unsetenv("OCTET_DATA_DIR");
}

TEST(FashionMnist, TheInstalledPackageReads) {
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist")) GTEST_SKIP() << "dataset-fashion-mnist isn't here";
  auto data = open_data("fashion-mnist", Split::kTest);
  EXPECT_EQ(data->size(), 10000);
  EXPECT_EQ(open_data("fashion-mnist", Split::kTest, {.limit = 12})->size(), 12);
  std::vector<int64_t> all(10000);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  Batch batch = data->get(all);
  EXPECT_TRUE(at::equal(batch.targets.bincount(), at::full({10}, 1000, at::kLong)));
  EXPECT_NEAR(batch.inputs[0].mean().item<double>(), 0.2868, 1e-3);
}

std::string cifar_records(const std::vector<int>& labels) {
  std::string file;
  for (size_t i = 0; i < labels.size(); ++i) {
    file += static_cast<char>(labels[i]);
    for (int p = 0; p < 3072; ++p) file += static_cast<char>(p / 1024 * 50 + static_cast<int>(i));
  }
  return file;
}

TEST(Cifar10, ReadsRecordsOfAllFiles) {
  test::TemporaryFolder folder;
  for (int i = 1; i <= 5; ++i) write(folder.file(str("data_batch_", i, ".bin")), cifar_records({i, i + 1}));
  write(folder.file("test_batch.bin"), cifar_records({0, 9, 3}));
  auto train = open_data("cifar10:" + folder.path(), Split::kTrain);
  EXPECT_EQ(train->size(), 10);
  EXPECT_EQ(train->num_classes(), 10);
  auto test = open_data("cifar10:" + folder.path(), Split::kTest);
  Batch batch = test->get({1});
  EXPECT_EQ(batch.inputs[0].sizes(), (at::IntArrayRef{1, 3, 32, 32}));
  for (int c = 0; c < 3; ++c) EXPECT_FLOAT_EQ(batch.inputs[0][0][c][31][31].item<float>(), (50 * c + 1) / 255.0F);
  EXPECT_EQ(batch.targets[0].item<int64_t>(), 9);
}

TEST(Cifar10, RefusesMalformedFiles) {
  test::TemporaryFolder folder;
  auto open = [&] { open_data("cifar10:" + folder.path(), Split::kTest); };
  EXPECT_SAYS(open(), "test_batch.bin");
  write(folder.file("test_batch.bin"), "");
  EXPECT_SAYS(open(), "a multiple of 3073 bytes, got 0");
  write(folder.file("test_batch.bin"), cifar_records({1, 2}).substr(0, 6145));
  EXPECT_SAYS(open(), "a multiple of 3073 bytes, got 6145");
  write(folder.file("test_batch.bin"), cifar_records({1, 10}));
  EXPECT_SAYS(open(), "label of record 1: expected 0 to 9, got 10");
}

TEST(NpyData, PairsInputsBySampleNumber) {
  test::TemporaryFolder folder;
  for (int i = 0; i < 12; ++i) {
    write_npy(folder.file(str("calib_", i, "_0.npy")), at::full({1, 3}, i, at::kFloat));
    write_npy(folder.file(str("calib_", i, "_1.npy")), at::full({1, 2, 2}, 10 * i, at::kDouble));
  }
  auto data = open_data("npy:" + folder.path() + "/calib_*.npy", Split::kTrain);
  EXPECT_EQ(data->size(), 12);
  EXPECT_EQ(data->natural_batch(), 1);
  EXPECT_FALSE(data->has_targets());
  EXPECT_EQ(data->image_facts(), nullptr);
  EXPECT_EQ(data->sample_shapes(), (std::vector<std::vector<int64_t>>{{3}, {2, 2}}));
  Batch batch = data->get({10, 2});  // 10 stands behind 2, though not as text
  EXPECT_TRUE(at::equal(batch.inputs[0].select(1, 0), at::tensor({10.0F, 2.0F})));
  EXPECT_TRUE(at::equal(batch.inputs[1].select(1, 0).select(1, 0), at::tensor({100.0F, 20.0F})));
  EXPECT_EQ(batch.inputs[1].scalar_type(), at::kFloat);
}

TEST(NpyData, ReadsRowsInNameOrderWithLabels) {
  test::TemporaryFolder folder;
  write_npy(folder.file("b.npy"), at::full({2, 3}, 2, at::kFloat));
  write_npy(folder.file("a.npy"), at::full({4, 3}, 1, at::kFloat));
  write_npy(folder.file("labels.npy"), at::tensor({0, 1, 2, 3, 4, 5}, at::kInt));
  auto data = open_data("npy:" + folder.path() + "/*.npy", Split::kTest);
  EXPECT_EQ(data->size(), 6);
  EXPECT_EQ(data->natural_batch(), 0);
  EXPECT_EQ(data->num_classes(), 6);
  Batch batch = data->get({3, 4});
  EXPECT_TRUE(at::equal(batch.inputs[0].select(1, 0), at::tensor({1.0F, 2.0F})));
  EXPECT_TRUE(at::equal(batch.targets, at::tensor({3, 4}, at::kLong)));
}

TEST(NpyData, KeepsTheBatchesOfTheFiles) {
  test::TemporaryFolder folder;
  for (int i = 0; i < 2; ++i) write_npy(folder.file(str("calib_", i, "_0.npy")), at::randn({4, 16}));
  auto data = open_data("npy:" + folder.path() + "/calib_*", Split::kTest);
  EXPECT_EQ(data->size(), 8);
  EXPECT_EQ(data->natural_batch(), 4);
}

// A state of [layers, N, H], a table, a number: nothing to batch along dimension 0.
TEST(NpyData, GivesSetsWhereInputsAreNotBatchedAlike) {
  test::TemporaryFolder folder;
  for (int i = 0; i < 3; ++i) {
    write_npy(folder.file(str("calib_", i, "_0.npy")), at::full({1, 8, 16}, i, at::kFloat));
    write_npy(folder.file(str("calib_", i, "_1.npy")), at::full({2, 1, 4}, 10 * i, at::kFloat));
    write_npy(folder.file(str("calib_", i, "_2.npy")), at::full({}, 100 * i, at::kDouble));
  }
  write_npy(folder.file("labels.npy"), at::tensor({0, 3, 1}, at::kLong));
  const auto data = open_data("npy:" + folder.path() + "/calib_*.npy", Split::kTrain);
  EXPECT_TRUE(data->gives_sets());
  EXPECT_TRUE(first_samples(data, 2)->gives_sets());
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(data->num_classes(), 4);
  EXPECT_EQ(data->sample_shapes(), (std::vector<std::vector<int64_t>>{{1, 8, 16}, {2, 1, 4}, {}}));
  const Batch batch = data->get({2});
  EXPECT_TRUE(at::equal(batch.inputs[1], at::full({2, 1, 4}, 20, at::kFloat)));
  EXPECT_TRUE(at::equal(batch.inputs[2], at::scalar_tensor(200, at::kFloat)));
  EXPECT_TRUE(at::equal(batch.targets, at::tensor({1}, at::kLong)));
  EXPECT_SAYS(data->get({0, 1}), "samples at a time: expected 1");
}

TEST(NpyData, RefusesWhatDoesNotFitTogether) {
  test::TemporaryFolder folder;
  const std::string spec = "npy:" + folder.path() + "/*.npy";
  auto open = [&] { open_data(spec, Split::kTest); };
  EXPECT_SAYS(open(), "no file matches the pattern");
  write_npy(folder.file("x_0_0.npy"), at::randn({1, 3}));
  write_npy(folder.file("x_0_1.npy"), at::randn({1, 3}));
  write_npy(folder.file("x_1_1.npy"), at::randn({1, 3}));
  EXPECT_SAYS(open(), "x_1_1.npy' is out of place: every sample needs inputs 0 to 1");
  std::filesystem::remove(folder.file("x_1_1.npy"));
  write_npy(folder.file("x_1_0.npy"), at::randn({1, 3}));
  EXPECT_SAYS(open(), "the last sample lacks inputs");
  write_npy(folder.file("x_1_1.npy"), at::randn({1, 4}));
  EXPECT_SAYS(open(), "expected Float[1, 3], got Float[1, 4]");
  write_npy(folder.file("x_1_1.npy"), at::randn({2, 3}));
  EXPECT_SAYS(open(), "x_0_1.npy': expected [1, 3], got [2, 3]");
  write_npy(folder.file("x_1_1.npy"), at::randn({1, 3}));
  write_npy(folder.file("labels.npy"), at::tensor({0, 1, 2}, at::kLong));
  EXPECT_SAYS(open(), "labels: expected 2, got 3");
  write_npy(folder.file("labels.npy"), at::randn({3}));
  EXPECT_SAYS(open(), "samples: expected 2, got [3]");
  write_npy(folder.file("labels.npy"), at::tensor({0, -1}, at::kLong));
  EXPECT_SAYS(open(), "label of sample 1: expected 0 or more, got -1");
  write_npy(folder.file("labels.npy"), at::tensor({int64_t{0}, int64_t{1} << 62}, at::kLong));
  EXPECT_SAYS(open(), "label of sample 1: expected 0 to 16777215, got 4611686018427387904");
}

TEST(OpenData, NamesTheSchemes) {
  EXPECT_SAYS(
      open_data("imagenet", Split::kTrain),
      "expected fashion-mnist, idx:FOLDER, cifar10:FOLDER, images:FOLDER, audio:FOLDER, npy:GLOB, got 'imagenet'");
  EXPECT_SAYS(open_data("idx:", Split::kTrain), "a path has to stand behind the colon");
}

}  // namespace
}  // namespace octet
