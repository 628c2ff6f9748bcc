// Chains of many steps on a small stack: annotated, quantized and placed without recursion.
#include <gtest/gtest.h>

#include "octet/quantize/quantize_pt2e.h"
#include "octet/targets/engine/placement/placement.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"
#include "tests/support/small_stack.h"

namespace octet {
namespace {

using test::kDeep;

void quantize_and_place(const std::string& op, const std::vector<Arg>& rest, int64_t wanted_partitions,
                        size_t wanted_operators = kDeep) {
  test::on_small_stack([&] {
    test::GraphBuilder g;
    Node* x = g.input({1, 2});
    for (int64_t i = 0; i < kDeep; ++i) {
      std::vector<Arg> args = {Arg(x)};
      args.insert(args.end(), rest.begin(), rest.end());
      x = g.call(op, std::move(args));
    }
    NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
    const auto prepared = prepare_pt2e(g.finish({x}), quantizer);
    prepared->run(g.inputs());
    const targets::Placement placement = targets::place(*convert_pt2e(prepared), quantizer.target());
    EXPECT_EQ(placement.operators.size(), wanted_operators);
    EXPECT_EQ(placement.partitions, wanted_partitions);
  });
}

TEST(DeepNeutron, OfSupportedSteps) { quantize_and_place("aten.relu.default", {}, 1); }
// Views alone are nothing that the NPU computes.
TEST(DeepNeutron, OfStepsThatShareOneGrid) {
  quantize_and_place("aten.view.default", {Arg(std::vector<int64_t>{1, 2})}, 0);
}
TEST(DeepNeutron, OfStepsWithoutARule) { quantize_and_place("aten.sin.default", {}, 0); }
TEST(DeepNeutron, OfStepsInPlace) { quantize_and_place("aten.relu_.default", {}, 1); }
TEST(DeepNeutron, OfStepsThatDoNothing) { quantize_and_place("aten.alias.default", {}, 0, 0); }

}  // namespace
}  // namespace octet
