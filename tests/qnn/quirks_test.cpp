// Where the reference is wrong (docs/deviations.md): mended, and as it does by the setting.
#include <gtest/gtest.h>

#include "octet/targets/qnn/qnn_quantizer.h"
#include "tests/engine/graph_builder.h"
#include "tests/qnn/quantized_case.h"

namespace octet {
namespace {

using test::GoldenCase;
using test::rows_of;

const std::map<std::string, std::string> kReference = {{"reference_quirks", "yes"}};

bool lies_on_one_grid(const QuantRow& cat) {
  return std::all_of(cat.inputs.begin(), cat.inputs.end(), [&](const auto& input) { return input == cat.output; });
}

TEST(QnnQuirks, ConcatenationsHaveOneGridInTrainingToo) {
  const GoldenCase cat("op_cat");
  EXPECT_TRUE(lies_on_one_grid(rows_of(*cat.quantized("8a8w-per-channel"), "aten.cat.default").at(0)));
  EXPECT_TRUE(lies_on_one_grid(rows_of(*cat.quantized("qat-8a8w-per-channel"), "aten.cat.default").at(0)));
  const auto reference = cat.quantized("qat-8a8w-per-channel", kReference);
  EXPECT_FALSE(lies_on_one_grid(rows_of(*reference, "aten.cat.default").at(0)));
}

TEST(QnnQuirks, SymmetricActivationsOf16BitsKeepNegativeValues) {
  const GoldenCase conv("conv_relu");
  for (const std::string mode : {"16a8w-per-tensor", "16a8w-per-channel"}) {
    const auto mended = conv.quantized(mode, {{"act_symmetric", "yes"}});
    for (const QuantRow& row : rows_of(*mended, "input")) {
      EXPECT_EQ(row.output->zero_point, std::vector<int64_t>{32768}) << mode;
      EXPECT_EQ(row.output->quant_max, 65535) << mode;
    }
    const at::Tensor exact = read_npy(conv.folder + "/float_out.npy");
    const at::Tensor error = mended->run(conv.inputs("test_")).at(0) - exact;
    EXPECT_GT(20 * std::log10(exact.norm().item<double>() / error.norm().item<double>()), 35.0) << mode;
  }
  const auto reference = conv.quantized("16a8w-per-tensor", {{"act_symmetric", "yes"}, {"reference_quirks", "yes"}});
  EXPECT_EQ(rows_of(*reference, "input").at(0).output->zero_point, std::vector<int64_t>{0});
  const auto whole = conv.quantized("16a8w-per-channel", {{"act_symmetric", "yes"}, {"reference_quirks", "yes"}});
  EXPECT_EQ(rows_of(*whole, "input").at(0).output->quant_min, std::numeric_limits<int32_t>::min());
}

TEST(QnnQuirks, FourBitWeightsTrainPerTensor) {
  const auto trained = GoldenCase("op_sigmoid").quantized("qat-16a4w-per-tensor");
  const auto weight = rows_of(*trained, "aten.conv2d.default").at(0).inputs.at(1);
  ASSERT_TRUE(weight);
  EXPECT_EQ(weight->quant_max, 7);
  EXPECT_EQ(weight->scale.size(), 1U);
}

// Of a convolution that forward calls twice.
TEST(QnnQuirks, EachCallHasTheBiasOnItsOwnProduct) {
  test::GraphBuilder g;
  Node* weight = g.parameter("c.weight", {4, 3, 3, 3});
  Node* bias = g.parameter("c.bias", {4});
  Node* first = g.call("aten.conv2d.default", {g.input({1, 3, 6, 6}), weight, bias});
  Node* wide = g.call("aten.mul.Scalar", {g.input({1, 3, 6, 6}), 8.0});
  Node* second = g.call("aten.conv2d.default", {wide, weight, bias});
  const auto model = g.finish({first, second});
  QnnQuantizer quantizer;
  quantizer.set_default_quant_config({.is_conv_per_channel = true});
  const auto convs = rows_of(*calibrate_and_quantize(model, {g.inputs()}, quantizer), "aten.conv2d.default");
  ASSERT_EQ(convs.size(), 2U);
  for (const QuantRow& conv : convs) {
    const auto& [x, w, b] = std::tie(conv.inputs.at(0), conv.inputs.at(1), conv.inputs.at(2));
    ASSERT_TRUE(x && w && b);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_FLOAT_EQ(static_cast<float>(b->scale.at(i)), static_cast<float>(x->scale.at(0) * w->scale.at(i)));
    }
  }
  EXPECT_GT(convs[1].inputs[2]->scale[0], 4 * convs[0].inputs[2]->scale[0]);
}

TEST(QnnQuirks, EachWeightHasBlocksOfItsOwn) {
  // Convolutions of 3 and of 8 channels, and linears.
  const auto net = GoldenCase("net_cifarnet").quantized("16a4w-block");
  for (const QuantRow& row : rows_of(*net, "aten.conv2d.default")) {
    const auto& weight = row.inputs.at(1);
    ASSERT_TRUE(weight && row.inputs.at(2));
    ASSERT_EQ(weight->block_size.size(), 4U);
    EXPECT_EQ(weight->block_size[0], 1);
    EXPECT_EQ(row.inputs.at(2)->scale.size() % 2, 0U);
  }
  for (const QuantRow& row : rows_of(*net, "aten.linear.default")) {
    EXPECT_EQ(row.inputs.at(1)->block_size, (std::vector<int64_t>{1, 8}));
  }
}

}  // namespace
}  // namespace octet
