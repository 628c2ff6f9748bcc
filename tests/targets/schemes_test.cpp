#include <gtest/gtest.h>

#include "octet/quantize/rows.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/targets.h"
#include "tests/engine/graph_builder.h"

namespace octet {
namespace {

// "" where there is none.
std::string in_training(const std::string& target, const std::string& scheme) {
  const auto found = all_targets().find(target, "test")->scheme_in_training(scheme);
  return found ? found->name : "";
}

TEST(Schemes, AfterTrainingHaveOneInTraining) {
  EXPECT_EQ(in_training("xnnpack", "static-per-channel"), "qat-per-channel");
  EXPECT_EQ(in_training("xnnpack", "dynamic-per-channel"), "qat-dynamic-per-channel");
  EXPECT_EQ(in_training("qnn", "8a8w-per-tensor"), "qat-8a8w-per-tensor");
  EXPECT_EQ(in_training("coreml", "static-affine"), "qat-affine");
  EXPECT_EQ(in_training("coreml", "weight-only"), "");
  EXPECT_EQ(in_training("intx", "weight-int8-channel"), "");
}

// Their weight and statistics are one.
TEST(Schemes, InTrainingFoldEachCallOfAConvolutionAndItsBatchNorm) {
  test::GraphBuilder g;
  Node* first = g.conv2d("c", g.input({1, 3, 6, 6}), 3, 4);
  Node* normed = g.batch_norm("n", first, 4);
  const std::vector<int64_t> ones = {1, 1};
  Node* second =
      g.call("aten.conv2d.default", {g.input({1, 3, 6, 6}), first->args().at(1), first->args().at(2), ones, ones});
  std::vector<Arg> args = normed->args();
  args.at(0) = second;
  const auto model = g.finish({normed, g.call("aten.batch_norm.default", args)});
  const std::vector<at::Tensor> wanted = model->run(g.inputs());
  targets::TableQuantizer quantizer(all_targets().find("qnn"), {.scheme = "qat-8a8w-per-channel"});
  const auto converted = calibrate_and_quantize(model, {g.inputs()}, quantizer);
  size_t convolutions = 0;
  for (const QuantRow& row : quantization_rows(*converted)) {
    EXPECT_NE(row.op, "aten.batch_norm.default");
    if (row.op != "aten.conv2d.default") continue;
    ++convolutions;
    EXPECT_TRUE(row.inputs.at(0) && row.inputs.at(1) && row.output);
  }
  EXPECT_EQ(convolutions, 2U);
  const std::vector<at::Tensor> got = converted->run(g.inputs());
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_LT((got.at(i) - wanted.at(i)).norm().item<double>(), 0.03 * wanted.at(i).norm().item<double>());
  }
}

}  // namespace
}  // namespace octet
