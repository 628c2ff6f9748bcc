#include "octet/quantize/frozen_prefix.h"

#include <gtest/gtest.h>

#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/quantize_pt2e.h"
#include "tests/quantize/test_nets.h"

namespace octet {
namespace {

// stem -> trunk; trunk -> deep -> deeper, + trunk; -> last
std::shared_ptr<GraphModule> prepared_residual_net() {
  at::manual_seed(9);
  test::Net net({4, 3, 12, 12});
  const auto layer = [&](const std::string& name, int64_t in) {
    net.conv2d(name, in, 8, false);
    net.batch_norm(name + "_bn", 8);
    return net.relu();
  };
  Node* trunk = layer("stem", 3);
  layer("deep", 8);
  layer("deeper", 8);
  net.call("aten.add.Tensor", {Arg(net.last), Arg(trunk)});
  layer("last", 8);
  test::SimpleQuantizer quantizer(/*qat=*/true);
  auto prepared = prepare_qat_pt2e(net.finish(), quantizer);
  prepared->train(true);
  prepared->forward(at::randn({4, 3, 12, 12}));
  prepared->apply(disable_observer);
  return prepared;
}

std::vector<const Node*> boundary_of(const std::string& frozen, const std::function<void(GraphModule&)>& change = {}) {
  static std::shared_ptr<GraphModule> prepared;  // keeps the nodes
  prepared = prepared_residual_net();
  if (!frozen.empty()) freeze_layers(*prepared, frozen);
  if (change) change(*prepared);
  return frozen_boundary(*prepared);
}

TEST(FrozenPrefix, EndsInFrontOfTheFirstTrainedLayer) {
  EXPECT_EQ(boundary_of("stem,stem_bn").size(), 1U);
  // Behind `deep` the trunk is still read by the sum.
  const auto two = boundary_of("stem,stem_bn,deep,deep_bn");
  ASSERT_EQ(two.size(), 2U);
  for (const Node* node : two) EXPECT_EQ(node->kind(), NodeKind::kCallModule);
  EXPECT_EQ(boundary_of("stem,stem_bn,deep,deep_bn,deeper,deeper_bn").size(), 1U);
}

TEST(FrozenPrefix, IsNoneWhereSomethingMoves) {
  EXPECT_TRUE(boundary_of("").empty());
  EXPECT_TRUE(boundary_of("deep,deep_bn").empty());  // behind a trained one
  EXPECT_TRUE(boundary_of("stem").empty());          // its BatchNorm is trained
  EXPECT_TRUE(boundary_of("stem,stem_bn", [](GraphModule& module) { module.apply(enable_observer); }).empty());
  EXPECT_TRUE(boundary_of("stem,stem_bn", [](GraphModule& module) { module.apply(disable_fake_quant); }).empty());
  EXPECT_TRUE(boundary_of("stem,stem_bn", [](GraphModule& module) { unfreeze_bn_stats(module); }).empty());
}

}  // namespace
}  // namespace octet
