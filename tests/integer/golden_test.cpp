// Every file that the reference hands to NXP's converter, run by octet: LiteRT's reference kernels gave the outputs.

#include <gtest/gtest.h>

#include <filesystem>

#include "octet/formats/npy.h"
#include "octet/integer/executor.h"
#include "octet/support/error.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

// "op_add/neutron_0"
std::vector<std::string> all_programs() {
  std::vector<std::string> programs;
  const fs::path folder = test::data("golden/cases");
  if (!fs::is_directory(folder)) return programs;
  for (const auto& entry : fs::directory_iterator(folder)) {
    for (int k = 0; fs::exists(entry.path() / octet::str("neutron_", k, ".tflite")); ++k) {
      programs.push_back(octet::str(entry.path().filename().string(), "/neutron_", k));
    }
  }
  std::sort(programs.begin(), programs.end());
  return programs;
}

class IntegerGolden : public testing::TestWithParam<std::string> {
 protected:
  std::string file(const std::string& ending) const { return test::data("golden/cases/" + GetParam() + ending); }

  std::vector<at::Tensor> arrays(const std::string& kind) const {
    std::vector<at::Tensor> result;
    for (int j = 0; fs::exists(file(octet::str(kind, j, ".npy"))); ++j) {
      result.push_back(read_npy(file(octet::str(kind, j, ".npy"))));
    }
    return result;
  }
};

void expect_bits(const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& wanted, const std::string& way) {
  ASSERT_EQ(got.size(), wanted.size());
  ASSERT_FALSE(wanted.empty());
  for (size_t j = 0; j < got.size(); ++j) {
    ASSERT_EQ(got[j].sizes(), wanted[j].sizes());
    ASSERT_EQ(got[j].scalar_type(), wanted[j].scalar_type());
    const at::Tensor steps = (got[j].to(at::kInt) - wanted[j].to(at::kInt)).abs();
    EXPECT_EQ(steps.max().item<int>(), 0)
        << way << ", output " << j << ": " << steps.gt(0).sum().item<int64_t>() << " of " << steps.numel() << " differ";
  }
}

// LiteRT's SUM of int8 on one grid for input and output gives no sums (op_sum_dim: -1 for 255 of 256 different ones):
// there the exact sum is the oracle, and LiteRT's output only says which cases these are.
bool has_no_oracle(const std::string& program) {
  return program == "op_sum/neutron_0" || program == "op_sum_dim/neutron_0";
}

TEST_P(IntegerGolden, GivesLiteRtsBits) {
  if (has_no_oracle(GetParam())) GTEST_SKIP() << "see IntegerSum";
  const tflite::Model model = tflite::read(file(".tflite"));
  const auto wanted = arrays("_out_");
  std::vector<integer::ExecutorOptions> ways = {{.check_overflow = true}};
  for (const integer::Path path : integer::available_paths()) ways.push_back({.path = path});
  for (const integer::ExecutorOptions& options : ways) {
    const std::string way = options.check_overflow ? "checked" : integer::path_name(options.path);
    expect_bits(integer::Executor(model, options).run(arrays("_in_")), wanted, way);
  }
}

INSTANTIATE_TEST_SUITE_P(All, IntegerGolden, testing::ValuesIn(all_programs()), [](const auto& each) {
  std::string name = each.param;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
});

class IntegerSum : public testing::TestWithParam<const char*> {};

TEST_P(IntegerSum, IsTheExactSum) {
  const std::string path = test::data(octet::str("golden/cases/", GetParam(), "/neutron_0"));
  tflite::Model model = tflite::read(path + ".tflite");
  const tflite::Operator op = model.operators.back();
  ASSERT_EQ(op.code, tflite::OpCode::kSum);
  const at::Tensor input = read_npy(path + "_in_0.npy");
  const at::Tensor got = integer::Executor(model).run({input}).at(0).to(at::kLong);
  const tflite::Tensor& terms = model.tensors[static_cast<size_t>(op.inputs[0])];
  const int64_t zero_point = terms.quantization.zero_point[0];
  std::vector<int64_t> axes;
  const tflite::Tensor& stored = model.tensors[static_cast<size_t>(op.inputs[1])];
  for (int64_t i = 0; i < stored.numel(); ++i) axes.push_back(stored.data[static_cast<size_t>(4 * i)]);
  model.operators.pop_back();
  model.outputs = {op.inputs[0]};
  const at::Tensor levels = integer::Executor(model).run({input}).at(0).to(at::kLong);
  const at::Tensor exact = (levels - zero_point).sum(axes) + zero_point;
  EXPECT_TRUE(at::equal(got, exact.clamp(-128, 127)));
}

INSTANTIATE_TEST_SUITE_P(All, IntegerSum, testing::Values("op_sum", "op_sum_dim"));

TEST(IntegerFiles, AllAreThere) { EXPECT_GE(all_programs().size(), 120u); }

}  // namespace
}  // namespace octet
