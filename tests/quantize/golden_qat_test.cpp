#include <gtest/gtest.h>

#include <fstream>

#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sqnr.h"
#include "tests/quantize/test_nets.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

// The reference's QAT program with its ranges calibrated and no step trained: weight and bias grids come from W * f,
// which moves with the running variance, so they hold the simulation's arithmetic to account.
TEST(GoldenQat, WeightAndBiasGridsOfTheReference) {
  for (const std::string name : {"conv_bn", "conv_bn_relu", "conv_transpose_bn_relu", "linear_bn_relu"}) {
    const std::string folder = test::data("golden/cases/" + name) + "/";
    auto module = load_pt2(folder + "model.pt2");
    test::SimpleQuantizer quantizer(true);
    module = prepare_qat_pt2e(module, quantizer);
    for (int i = 0; i < 4; ++i) module->run({read_npy(folder + "calib_" + std::to_string(i) + "_0.npy")});
    auto converted = convert_pt2e(move_exported_model_to_eval(module));
    std::ifstream file(folder + "qat.json");
    const auto wanted = rows_from_json(nlohmann::ordered_json::parse(file));
    const auto got = quantization_rows(*converted);
    ASSERT_EQ(got.size(), wanted.size()) << name;
    EXPECT_EQ(got[1].op, wanted[1].op);
    ASSERT_EQ(got[1].inputs.size(), 3u) << name;
    for (const size_t input : {size_t{0}, size_t{1}, size_t{2}}) {
      ASSERT_TRUE(got[1].inputs[input] && wanted[1].inputs[input]) << name << " input " << input;
      const QuantRecord& a = *got[1].inputs[input];
      const QuantRecord& b = *wanted[1].inputs[input];
      ASSERT_EQ(a.scale.size(), b.scale.size());
      for (size_t c = 0; c < a.scale.size(); ++c) {
        EXPECT_NEAR(a.scale[c], b.scale[c], b.scale[c] * 2e-6) << name << " input " << input << " channel " << c;
      }
      EXPECT_EQ(a.zero_point, b.zero_point);
      EXPECT_EQ(a.axis, b.axis);
      EXPECT_EQ(a.quant_min, b.quant_min);
      EXPECT_EQ(a.dtype, b.dtype);
    }
    const at::Tensor out = converted->run({read_npy(folder + "test_0.npy")}).at(0);
    EXPECT_GT(compute_error(read_npy(folder + "qat_out.npy"), out), 36) << name;
  }
}

}  // namespace
}  // namespace octet
