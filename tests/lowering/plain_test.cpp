// The plain lowering against the files that the reference hands to NXP's converter.

#include <gtest/gtest.h>

#include "octet/lowering/lowering.h"
#include "tests/lowering/golden_case.h"
#include "tests/lowering/program_diff.h"

namespace octet {
namespace {

// Why octet's file of the whole model is not the reference's file of the NPU's part; every case stands in
// docs/lowering.md.
const std::map<std::string, std::string>& partly_on_the_npu() {
  static const std::map<std::string, std::string> cases = {
      {"conv_transpose2d_groups", "transposed convolution in groups"},
      {"island_log_softmax_head", "log_softmax"},
      {"limit_adaptive_uneven", "average over uneven windows"},
      {"limit_add_alpha", "alpha"},
      {"limit_avg_pool_ceil", "ceil_mode"},
      {"limit_avg_pool_pad_excluded", "average without its padding"},
      {"limit_convT_depthwise", "transposed convolution in groups"},
      {"limit_expand", "expand"},
      {"limit_max_pool_dilation", "dilation of a pool"},
      {"limit_nearest_3", "resize by 3"},
      {"limit_nearest_size", "resize by 3"},
      {"limit_pad_replicate", "replicated padding"},
      {"limit_slice_step", "step of a slice"},
      {"limit_softmax_2041", "softmax too wide"},
      {"limit_softmax_width", "softmax along the width"},
      {"limit_view_rank_8", "view of 8 dimensions"},
  };
  return cases;
}

// Histograms may flip by a bin: tests/neutron/golden_test.cpp.
constexpr test::ProgramTolerance kMeasured = {7e-3, 1, 1e-2};

std::vector<std::string> one_partition() {
  std::vector<std::string> names;
  for (const std::string& name : test::GoldenCase::all()) {
    const test::GoldenCase golden(name);
    if (golden.has("neutron_0.tflite") && !golden.has("neutron_1.tflite")) names.push_back(name);
  }
  return names;
}

class PlainLowering : public testing::TestWithParam<std::string> {};

TEST_P(PlainLowering, EqualsTheReferencesFile) {
  const test::GoldenCase golden(GetParam());
  tflite::Model got =
      lower(*golden.quantize(/*is_qat=*/false, SigmoidInput::kReference), {.form = LoweringForm::kPlain});
  tflite::Model wanted = tflite::read(golden.file("neutron_0.tflite"));
  const auto partly = partly_on_the_npu().find(GetParam());
  if (partly == partly_on_the_npu().end() && GetParam() != "op_bmm" && GetParam() != "op_relu6") {
    EXPECT_EQ(test::difference(got, wanted, kMeasured), "");
    EXPECT_EQ(got.inputs.size(), wanted.inputs.size());
    EXPECT_EQ(got.outputs.size(), wanted.outputs.size());
    return;
  }
  if (GetParam() == "op_relu6") {
    EXPECT_EQ(test::operators_of(got), "TRANSPOSE PADV2 CONV_2D RELU6 TRANSPOSE") << "relu6 is an activation";
    return;
  }
  if (GetParam() == "op_bmm") {
    // The reference leaves the change of the inputs' grids to the CPU; it is part of the model.
    EXPECT_EQ(test::operators_of(got), "QUANTIZE QUANTIZE BATCH_MATMUL");
    got.operators.erase(got.operators.begin(), got.operators.begin() + 2);
    EXPECT_EQ(test::difference(got.operators, wanted.operators, got, wanted, kMeasured), "");
    return;
  }
  // What the NPU computes is there, but for the transposition at the border.
  while (wanted.operators.back().code == tflite::OpCode::kTranspose) wanted.operators.pop_back();
  std::vector<tflite::Operator> missing;
  for (const tflite::Operator& op : wanted.operators) {
    const auto same = [&](const tflite::Operator& other) {
      return test::difference({other}, {op}, got, wanted, kMeasured).empty();
    };
    if (std::none_of(got.operators.begin(), got.operators.end(), same)) missing.push_back(op);
  }
  EXPECT_TRUE(missing.empty()) << tflite::op_name(missing.front().code) << " of the reference, beside "
                               << partly->second;
  EXPECT_GT(got.operators.size(), wanted.operators.size());
}

INSTANTIATE_TEST_SUITE_P(Cases, PlainLowering, testing::ValuesIn(one_partition()),
                         [](const auto& each) { return each.param; });

TEST(PlainLowering, CasesAreThere) { EXPECT_EQ(one_partition().size(), 107u); }

}  // namespace
}  // namespace octet
