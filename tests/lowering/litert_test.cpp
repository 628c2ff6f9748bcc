// What octet exported of the golden cases, against the outputs that LiteRT's reference kernels gave for these files.

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "octet/formats/npy.h"
#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/support/error.h"
#include "tests/lowering/golden_case.h"
#include "tests/lowering/program_diff.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> all_litert_cases(const std::string& folder = "") {
  std::vector<std::string> names;
  if (!fs::is_directory(test::data("litert/" + folder))) return names;
  for (const auto& entry : fs::directory_iterator(test::data("litert/" + folder))) {
    if (entry.path().extension() == ".tflite") names.push_back(folder + entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string litert_file(const std::string& name, const std::string& ending) {
  return test::data("litert/" + name + ending);
}

std::vector<at::Tensor> litert_arrays(const std::string& name, const std::string& kind) {
  std::vector<at::Tensor> result;
  for (int j = 0; fs::exists(litert_file(name, octet::str(kind, j, ".npy"))); ++j) {
    result.push_back(read_npy(litert_file(name, octet::str(kind, j, ".npy"))));
  }
  return result;
}

class LiteRt : public testing::TestWithParam<std::string> {};

TEST_P(LiteRt, GivesTheSameBits) {
  const tflite::Model model = tflite::read(litert_file(GetParam(), ".tflite"));
  const std::vector<at::Tensor> inputs = litert_arrays(GetParam(), "_in_");
  const std::vector<at::Tensor> wanted = litert_arrays(GetParam(), "_out_");
  ASSERT_FALSE(wanted.empty());
  std::vector<integer::ExecutorOptions> ways = {{.check_overflow = true}};
  for (const integer::Path path : integer::available_paths()) ways.push_back({.path = path});
  for (const integer::ExecutorOptions& options : ways) {
    SCOPED_TRACE(options.check_overflow ? "checked" : integer::path_name(options.path));
    const std::vector<at::Tensor> got = integer::Executor(model, options).run(inputs);
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t j = 0; j < got.size(); ++j) {
      ASSERT_EQ(got[j].sizes(), wanted[j].sizes());
      ASSERT_EQ(got[j].scalar_type(), wanted[j].scalar_type());
      if (wanted[j].is_floating_point()) {
        EXPECT_TRUE(at::allclose(got[j], wanted[j], 0.0, 1e-5 * wanted[j].abs().max().item<double>()));
        continue;
      }
      const at::Tensor steps = (got[j].to(at::kInt) - wanted[j].to(at::kInt)).abs();
      EXPECT_EQ(steps.max().item<int>(), 0)
          << "output " << j << ": " << steps.gt(0).sum().item<int64_t>() << " of " << steps.numel() << " differ";
    }
  }
}

// The files are what today's lowering writes: ranges come from measurements, and may flip by a bin.
TEST_P(LiteRt, IsWhatTheLoweringWrites) {
  const tflite::Model got = lower(*test::GoldenCase(GetParam()).quantize());
  const tflite::Model wanted = tflite::read(litert_file(GetParam(), ".tflite"));
  EXPECT_EQ(test::difference(got, wanted, {7e-3, 1, 1e-2}), "") << "tests/data/litert/README.md says how to renew them";
}

INSTANTIATE_TEST_SUITE_P(Cases, LiteRt, testing::ValuesIn(all_litert_cases()),
                         [](const auto& each) { return each.param; });

// What is quantized behind float arithmetic is LiteRT's to the bit only where the arithmetic is.
TEST(LiteRtFloat, OperatorsGiveTheSameBits) {
  const std::vector<std::string> names = all_litert_cases("float/");
  ASSERT_FALSE(names.empty());
  for (const std::string& name : names) {
    const integer::Executor executor(tflite::read(litert_file(name, ".tflite")));
    EXPECT_TRUE(at::equal(executor.run(litert_arrays(name, "_in_")).at(0), litert_arrays(name, "_out_").at(0))) << name;
  }
}

// What is compared, chosen and counted, in floats, whole numbers and bools.
TEST(LiteRtChoices, OperatorsGiveTheSameBits) {
  const std::vector<std::string> names = all_litert_cases("choices/");
  ASSERT_FALSE(names.empty());
  for (const std::string& name : names) {
    const integer::Executor executor(tflite::read(litert_file(name, ".tflite")));
    const std::vector<at::Tensor> got = executor.run(litert_arrays(name, "_in_"));
    const std::vector<at::Tensor> wanted = litert_arrays(name, "_out_");
    ASSERT_EQ(got.size(), wanted.size()) << name;
    for (size_t j = 0; j < got.size(); ++j) EXPECT_TRUE(at::equal(got[j], wanted[j])) << name << ", result " << j;
  }
}

// Every golden case that lowers has a file.
TEST(LiteRtFiles, AllAreThere) {
  const std::set<std::string> without = {"limit_conv3d"};
  for (const std::string& name : test::GoldenCase::all()) {
    EXPECT_NE(fs::exists(litert_file(name, ".tflite")), without.count(name) != 0) << name;
  }
  EXPECT_EQ(all_litert_cases().size() + without.size(), test::GoldenCase::all().size());
}

}  // namespace
}  // namespace octet
