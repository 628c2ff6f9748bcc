#include "octet/lowering/stats.h"

#include <gtest/gtest.h>

namespace octet {
namespace {

TEST(Stats, CountsByHand) {
  GraphModule module;
  module.set_attr("a.weight", at::ones({8, 3, 3, 3}), AttrKind::kParameter);
  module.set_attr("a.bias", at::ones({8}), AttrKind::kParameter);
  module.set_attr("d.weight", at::ones({8, 1, 3, 3}), AttrKind::kParameter);
  module.set_attr("t.weight", at::ones({8, 4, 2, 2}), AttrKind::kParameter);
  module.set_attr("f.weight", at::ones({5, 4}), AttrKind::kParameter);
  module.set_attr("scale", at::ones({}), AttrKind::kConstant);
  module.tie_attr("twin", "f.weight");
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  Node* a = g.call("aten.conv2d", {x, g.get_attr("a.weight"), g.get_attr("a.bias"), 1, 1});  // 8 x 10 x 10
  Node* d = g.call("aten.conv2d", {a, g.get_attr("d.weight"), Arg(), 2, 1, 1, 8});           // 8 x 5 x 5
  Node* t = g.call("aten.conv_transpose2d.input", {d, g.get_attr("t.weight"), Arg(), 2});    // 4 x 10 x 10
  Node* m = g.call("aten.mean.dim", {t, std::vector<int64_t>{2, 3}});                        // 4
  Node* f = g.call("aten.linear", {m, g.get_attr("f.weight")});                              // 5
  Node* p = g.call("aten.mm", {g.call("aten.t", {f}), f});                                   // 5 x 5
  g.output({g.call("aten.mul.Tensor", {p, g.get_attr("scale")})});
  propagate_shapes(module, {at::randn({2, 3, 10, 10})});
  EXPECT_EQ(macs(module, *a), 2 * 8 * 100 * 27);
  EXPECT_EQ(macs(module, *d), 2 * 8 * 25 * 9);
  EXPECT_EQ(macs(module, *t), 2 * 8 * 25 * 4 * 4);
  EXPECT_EQ(macs(module, *f), 2 * 5 * 4);
  EXPECT_EQ(macs(module, *p), 5 * 5 * 2);
  EXPECT_EQ(macs(module, *m), 0);
  const ModelStats stats = model_stats(module);
  EXPECT_EQ(stats.parameters, 216 + 8 + 72 + 128 + 20);
  EXPECT_EQ(stats.parameter_bytes, 4 * stats.parameters);
  EXPECT_EQ(stats.buffer_bytes, 4);
  EXPECT_EQ(stats.macs, 2 * 8 * 100 * 27 + 2 * 8 * 25 * 9 + 2 * 8 * 25 * 16 + 40 + 50);
  EXPECT_EQ(stats.op_counts.at("aten.conv2d.default"), 2);
  ASSERT_EQ(stats.nodes.size(), 8U);
  EXPECT_EQ(stats.nodes[0].parameters, 224);
  EXPECT_EQ(stats.nodes[0].shape, "float32[2, 8, 10, 10]");
}

}  // namespace
}  // namespace octet
