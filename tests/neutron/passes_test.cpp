#include "octet/targets/neutron/passes.h"

#include <gtest/gtest.h>

#include "octet/targets/neutron/operator_rules.h"
#include "tests/engine/graph_builder.h"

namespace octet::neutron {
namespace {

using test::GraphBuilder;
using test::ops_of;
using Ints = std::vector<int64_t>;

int64_t run(GraphModule& module, QuantizationMode mode) {
  const NeutronTargetSpec target("imxrt700");
  return targets::run_passes(module, default_passes(target.limits(), operator_rules(target), mode));
}

TEST(NeutronPasses, OnePassSeesWhatAnotherMakes) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* x = g.input({2, 8, 10});
  Node* conv = g.call("aten.conv1d.default",
                      {x, g.parameter("c.weight", {6, 4, 3}), Arg(), Ints{1}, Ints{1}, Ints{1}, int64_t{2}});
  const auto module = g.finish({g.call("aten.relu.default", {g.batch_norm("n", conv, 6)})});
  const auto before = module->copy();
  EXPECT_GT(run(*module, QuantizationMode::kPtq), 2);
  // The fold gives the 1-D convolution a bias, which then becomes 2-D, is split, and takes the activation in front of
  // the cat.
  EXPECT_EQ(
      ops_of(*module),
      "unsqueeze.default slice.Tensor conv2d.default relu.default slice.Tensor conv2d.default relu.default cat.default "
      "squeeze.dim");
  EXPECT_TRUE(at::allclose(module->run(g.inputs()).at(0), before->run(g.inputs()).at(0), 1e-4, 1e-5));
  EXPECT_EQ(run(*module, QuantizationMode::kPtq), 0);
}

TEST(NeutronPasses, KeepsConvolutionsWithTheirBatchNormForTraining) {
  GraphBuilder g;
  const auto module = g.finish({g.batch_norm("n", g.conv2d("c", g.input({2, 4, 6, 6}), 4, 6, 2), 6)});
  EXPECT_EQ(run(*module, QuantizationMode::kQat), 0);
  EXPECT_EQ(ops_of(*module), "conv2d.default batch_norm.default");
}

}  // namespace
}  // namespace octet::neutron
