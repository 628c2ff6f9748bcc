#include "octet/quantize/bias_pass.h"

#include <gtest/gtest.h>

#include <fstream>

#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sqnr.h"
#include "tests/quantize/test_nets.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

std::vector<QuantRow> recorded(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  return rows_from_json(nlohmann::ordered_json::parse(file));
}

void expect_same(const std::optional<QuantRecord>& got, const std::optional<QuantRecord>& wanted,
                 const std::string& where) {
  ASSERT_EQ(got.has_value(), wanted.has_value()) << where;
  if (!got) return;
  ASSERT_EQ(got->scale.size(), wanted->scale.size()) << where;
  for (size_t i = 0; i < got->scale.size(); ++i)
    EXPECT_NEAR(got->scale[i], wanted->scale[i], wanted->scale[i] * 1e-6) << where;
  EXPECT_EQ(got->zero_point, wanted->zero_point) << where;
  EXPECT_EQ(got->axis, wanted->axis) << where;
  EXPECT_EQ(got->quant_min, wanted->quant_min) << where;
  EXPECT_EQ(got->quant_max, wanted->quant_max) << where;
  EXPECT_EQ(got->dtype, wanted->dtype) << where;
}

void expect_same(const std::vector<QuantRow>& got, const std::vector<QuantRow>& wanted, const std::string& where) {
  ASSERT_EQ(got.size(), wanted.size()) << where << rows_text(got);
  for (size_t i = 0; i < got.size(); ++i) {
    const std::string row = where + " row " + std::to_string(i) + " " + wanted[i].op;
    EXPECT_EQ(got[i].op, wanted[i].op) << row;
    ASSERT_EQ(got[i].inputs.size(), wanted[i].inputs.size()) << row;
    for (size_t k = 0; k < got[i].inputs.size(); ++k) expect_same(got[i].inputs[k], wanted[i].inputs[k], row);
    expect_same(got[i].output, wanted[i].output, row);
  }
}

TEST(BiasPass, GivesTheRecordedProgramsAndOutputs) {
  for (const std::string name : {"bias_pass_conv_bn", "bias_pass_conv_nobias", "bias_pass_conv_transpose_bn"}) {
    const std::string folder = test::data("golden/bias_pass/" + name) + "/";
    const at::Tensor x = read_npy(folder + "test_0.npy");
    for (const bool zero_bias : {false, true}) {
      const std::string after = folder + "after_zero_bias_" + (zero_bias ? "1" : "0");
      auto module = load_pt2(folder + "before.pt2");
      expect_same(quantization_rows(*module), recorded(folder + "before.json"), name + " before");
      QuantizeFusedConvBnBiasAtenPass(zero_bias, /*symmetric_quant=*/true)(*module);
      module->graph().verify();
      const auto wanted = recorded(after + ".json");
      expect_same(quantization_rows(*module), wanted, name + (zero_bias ? " with" : " without") + " zero biases");
      const at::Tensor out = read_npy(after + "_out.npy");
      const at::Tensor got = module->run({x}).at(0);
      // Two float convolutions may fall on either side of a rounding: one step of the output's grid.
      const double step = wanted.back().output->scale[0];
      EXPECT_LE((got - out).abs().max().item<double>(), step * 1.001) << name;
      EXPECT_GT(compute_error(out, got), 45) << name;
    }
  }
}

TEST(BiasPass, TheRangeIsSymmetricWhereAsked) {
  const std::string path = test::data("golden/bias_pass/bias_pass_conv_nobias/before.pt2");
  for (const bool symmetric : {false, true}) {
    auto module = load_pt2(path);
    EXPECT_EQ(QuantizeFusedConvBnBiasAtenPass(true, symmetric)(*module), 1u);
    const auto rows = quantization_rows(*module);
    EXPECT_EQ(rows[1].inputs.at(2)->quant_min, symmetric ? -2147483647 : -2147483648);
    EXPECT_EQ(QuantizeFusedConvBnBiasAtenPass(true, symmetric)(*module), 0u);  // nothing left to do
  }
}

}  // namespace
}  // namespace octet
