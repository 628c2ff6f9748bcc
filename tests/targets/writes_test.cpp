// A write through a view that no pass takes apart: quantized, the value would lie in memory of its own, and those that
// read it miss the write.

#include <gtest/gtest.h>

#include "octet/quantize/sqnr.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/targets.h"
#include "tests/engine/graph_builder.h"

namespace octet {
namespace {

using test::GraphBuilder;

class WriteTest : public testing::TestWithParam<std::string> {};

TEST_P(WriteTest, ThroughAViewReachesItsReaders) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* x = g.input({1, 4, 6, 6});
  Node* y = g.call("aten.conv2d.default", {x, g.tensor("first", at::randn({4, 4, 1, 1}))});
  g.call("aten.fill_.Scalar", {g.call("aten.diagonal.default", {y, int64_t{0}, int64_t{2}, int64_t{3}}), 3.0});
  Node* z =
      g.call("aten.conv2d.default", {g.call("aten.relu.default", {y}), g.tensor("second", at::randn({4, 4, 1, 1}))});
  const auto model = g.finish({z});
  const at::Tensor wanted = model->copy()->run(g.inputs())[0];
  targets::TableQuantizer quantizer(all_targets().find(GetParam()), {});
  const auto quantized = calibrate_and_quantize(model->copy(), {g.inputs()}, quantizer);
  EXPECT_GT(compute_error(wanted, quantized->run(g.inputs())[0]), 25.0);
}

INSTANTIATE_TEST_SUITE_P(Targets, WriteTest, testing::Values("imxrt700", "xnnpack", "coreml", "qnn"),
                         [](const auto& each) { return each.param; });

}  // namespace
}  // namespace octet
