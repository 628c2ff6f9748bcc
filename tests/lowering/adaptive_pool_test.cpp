// adaptive_avg_pool1d: a 2-D pool between reshapes, on the grid of its input.

#include <ATen/ops/adaptive_avg_pool1d.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/quantize/rows.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/placement/placement.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/targets/neutron/target.h"
#include "tests/engine/graph_builder.h"
#include "tests/lowering/program_diff.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

using Ints = std::vector<int64_t>;
using test::GraphBuilder;

constexpr const char* kAdaptive = "aten.adaptive_avg_pool1d.default";
const char* const kProgram = "RESHAPE TRANSPOSE AVERAGE_POOL_2D TRANSPOSE RESHAPE";

std::shared_ptr<GraphModule> for_neutron(const std::shared_ptr<GraphModule>& model,
                                         const std::vector<at::Tensor>& inputs) {
  NeutronQuantizer quantizer{NeutronTargetSpec("imxrt700")};
  auto result = calibrate_and_quantize(model, {inputs}, quantizer);
  propagate_shapes(*result, inputs);
  return result;
}

// A pool alone, over the same numbers each time.
std::shared_ptr<GraphModule> pool(GraphBuilder& g, const std::string& op, std::vector<Arg> how, const Ints& sizes) {
  at::manual_seed(3);
  how.insert(how.begin(), Arg(g.input(sizes)));
  return g.finish({g.call(op, std::move(how))});
}

TEST(AdaptiveAveragePool1d, SharesTheGridOfItsInput) {
  GraphBuilder g;
  const auto model = pool(g, kAdaptive, {Ints{4}}, {2, 6, 12});
  const auto rows = quantization_rows(*for_neutron(model, g.inputs()));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].op, kAdaptive);
  ASSERT_TRUE(rows[0].output && rows[1].inputs.at(0) && rows[1].output);
  EXPECT_EQ(*rows[1].inputs.at(0), *rows[0].output);
  EXPECT_EQ(*rows[1].output, *rows[0].output);
}

// The same operators and bits as the pool of equal windows that it is, and float's numbers within a step.
TEST(AdaptiveAveragePool1d, IsAPoolOfEqualWindows) {
  for (const int64_t out : {1, 4, 6}) {
    GraphBuilder g, h;
    const Ints sizes = {2, 6, 12};
    const auto model = pool(g, kAdaptive, {Ints{out}}, sizes);
    const auto twin = pool(h, "aten.avg_pool1d.default", {Ints{12 / out}, Ints{12 / out}}, sizes);
    const at::Tensor x = g.inputs().at(0);
    EXPECT_TRUE(at::equal(model->run({x}).at(0), at::adaptive_avg_pool1d(x, {out})));
    const tflite::Model program = lower(*for_neutron(model, {x}));
    const tflite::Model wanted = lower(*for_neutron(twin, {x}));
    if (out > 1) {
      EXPECT_EQ(test::operators_of(program), kProgram);
    }
    EXPECT_EQ(test::operators_of(program), test::operators_of(wanted));
    const at::Tensor levels = at::randint(-128, 128, sizes, at::kChar);
    EXPECT_TRUE(
        at::equal(integer::Executor(program).run({levels}).at(0), integer::Executor(wanted).run({levels}).at(0)));
    const double step = program.tensors[static_cast<size_t>(program.inputs.at(0))].quantization.scale.at(0);
    EXPECT_TRUE(at::allclose(integer::Executor(program).run_dequantized({x}).at(0), at::adaptive_avg_pool1d(x, {out}),
                             0.0, 1.01 * step))
        << out;
  }
}

TEST(AdaptiveAveragePool1d, RunsOnTheNpuWithTheViewsAroundIt) {
  GraphBuilder g;
  at::manual_seed(3);
  Node* x = g.call("aten.conv1d.default", {g.input({1, 4, 24}), g.parameter("c.weight", {8, 4, 3}),
                                           g.parameter("c.bias", {8}), Ints{1}, Ints{1}});
  x = g.call(kAdaptive, {x, Ints{6}});
  x = g.call("aten.flatten.using_ints", {x, int64_t{1}});
  const auto model = g.finish({g.linear("fc", x, 48, 5)});
  const auto placement =
      targets::place(*for_neutron(model, g.inputs()), neutron::target(NeutronTargetSpec("imxrt700")));
  EXPECT_EQ(placement.partitions, 1);
  EXPECT_EQ(placement.on_cpu(), 0);
  const bool has_views = std::any_of(placement.operators.begin(), placement.operators.end(),
                                     [](const auto& each) { return each.op == "aten.squeeze.dim"; });
  EXPECT_TRUE(has_views);  // of the convolution, which is a 2-D one now
}

TEST(AdaptiveAveragePool1d, OfUnequalWindowsIsALinear) {
  GraphBuilder g, h;
  const auto model = for_neutron(pool(g, kAdaptive, {Ints{4}}, {1, 6, 10}), g.inputs());
  const auto placement = targets::place(*model, neutron::target(NeutronTargetSpec("imxrt700")));
  ASSERT_EQ(placement.operators.size(), 1U);
  EXPECT_EQ(placement.operators[0].op, "aten.linear.default");
  EXPECT_TRUE(placement.operators[0].partition);
  EXPECT_EQ(test::operators_of(lower(*model)), "FULLY_CONNECTED");
  const auto alone = pool(h, kAdaptive, {Ints{4}}, {1, 6, 10});
  EXPECT_TRUE(test::fails_with([&] { lower(*alone); }, "an average over windows of different sizes"));
}

}  // namespace
}  // namespace octet
