// What verify counts as a deviation, and what not.
#include "octet/lowering/verify.h"

#include <gtest/gtest.h>

#include "octet/lowering/lowering.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"

namespace octet {
namespace {

using test::GraphBuilder;

Verification verified(const std::shared_ptr<GraphModule>& model, const std::vector<at::Tensor>& inputs) {
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  const auto quantized = calibrate_and_quantize(model, {inputs}, quantizer);
  propagate_shapes(*quantized, inputs);
  return verify(*quantized, lower(*quantized), inputs);
}

void expect_within_a_step(const Verification& found) {
  ASSERT_FALSE(found.layers.empty());
  for (const ValueDeviation& layer : found.layers) {
    EXPECT_EQ(layer.alone.beyond_a_step, 0) << layer.name << ": " << layer.alone.most_steps << " steps";
  }
}

// The value of gelu is written over by what reads it.
TEST(VerifyValues, AreThoseBeforeAnOperatorInPlace) {
  at::manual_seed(1);
  GraphBuilder g;
  Node* gelu = g.call("aten.gelu.default", {g.conv2d("c", g.input({1, 3, 6, 6}), 3, 4)});
  const auto model = g.finish({g.conv2d("d", g.call("aten.silu_.default", {gelu}), 4, 2)});
  expect_within_a_step(verified(model, g.inputs()));
}

// Two ways to compute one number differ in its last bit, which is no part of a range of 0.
TEST(VerifyValues, OfOneNumberHaveStepsToo) {
  for (int i = 1; i <= 12; ++i) {
    GraphBuilder g;
    Node* x = g.call("aten.relu.default", {g.input({1, 2, 3, 3})});
    const auto model = g.finish({g.call("aten.relu.default", {g.call("aten.silu.default", {x})})});
    expect_within_a_step(verified(model, {at::full({1, 2, 3, 3}, 0.37 * i)}));
  }
}

// PyTorch and TFLite take different ones of equals; which, neither says.
TEST(VerifyValues, OfPlacesCountWhatStandsThere) {
  at::manual_seed(2);
  GraphBuilder g;
  Node* x = g.call("aten.relu.default", {g.input({1, 64})});  // half of it 0
  Node* best = g.call("aten.topk.default", {x, 60});
  Node* sorted = g.call("aten.sort.default", {x, -1, true});
  Node* least = g.call("aten.min.dim", {x, 1});
  const auto model = g.finish({g.item(best, 1), g.item(sorted, 1), g.item(least, 1), g.call("aten.argmin.default", {x}),
                               g.call("aten.argmin.default", {x, 1, true})});
  const Verification found = verified(model, g.inputs());
  ASSERT_EQ(found.outputs.size(), 5U);
  for (const ValueDeviation& output : found.outputs) EXPECT_EQ(output.alone.different, 0) << output.name;
}

}  // namespace
}  // namespace octet
