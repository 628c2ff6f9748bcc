// Chains of many steps on a small stack: made free of the batch, laid out and lowered without recursion.
#include <gtest/gtest.h>

#include "octet/lowering/batch.h"
#include "octet/lowering/complex_parts.h"
#include "octet/lowering/layout.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/stats.h"
#include "octet/quantize/quantize_pt2e.h"
#include "tests/quantize/test_nets.h"
#include "tests/support/small_stack.h"

namespace octet {
namespace {

using test::kDeep;

void add_steps(test::Net& net, const std::string& op) {
  for (int64_t i = 0; i < kDeep; ++i) net.call(op, {Arg(net.last)});
}

TEST(DeepLowering, FollowsTheBatch) {
  test::on_small_stack([] {
    test::Net net({1, 4});
    net.call("aten.view.default", {Arg(net.last), Arg(std::vector<int64_t>{1, 2, 2})});
    add_steps(net, "aten.relu.default");
    const auto module = net.finish();
    make_batch_flexible(*module);
    EXPECT_EQ(module->run({at::ones({3, 4})})[0].sizes().vec(), (std::vector<int64_t>{3, 2, 2}));
    EXPECT_EQ(model_stats(*module).op_counts.at("aten.relu.default"), kDeep);
  });
}

// The convolution at the end is what tells the steps before it.
TEST(DeepLowering, FindsTheLayoutAgainstTheGraph) {
  test::on_small_stack([] {
    test::Net net({1, 1, 4, 4});
    add_steps(net, "aten.relu.default");
    net.conv2d("c", 1, 1, false);
    // With the input, the convolution and the result.
    EXPECT_EQ(lowering::channels_first_values(net.finish()->graph()).size(), static_cast<size_t>(kDeep) + 3);
  });
}

TEST(DeepLowering, LowersEachStep) {
  test::on_small_stack([] {
    test::Net net({1, 4});
    for (int64_t i = 0; i < kDeep / 2; ++i) {
      net.call("aten.abs.default", {Arg(net.last)});
      net.relu();
    }
    test::SimpleQuantizer quantizer(/*qat=*/false);
    const auto prepared = prepare_pt2e(net.finish(), quantizer);
    prepared->run({at::rand({1, 4})});
    EXPECT_GE(lower(*convert_pt2e(prepared)).operators.size(), static_cast<size_t>(kDeep) / 2);
  });
}

TEST(DeepLowering, TakesComplexNumbersApart) {
  test::on_small_stack([] {
    const at::NoGradGuard no_grad;
    test::Net net({1, 2});
    net.call("aten.view_as_complex.default", {Arg(net.last)});
    for (int64_t i = 0; i < kDeep; ++i) net.call("aten.mul.Tensor", {Arg(net.last), Arg(1.0)});
    net.call("aten.view_as_real.default", {Arg(net.last)});
    const auto module = net.finish();
    EXPECT_TRUE(lowering::decompose_complex(*module, lowering::ComplexSources::kViews));
    EXPECT_TRUE(at::equal(module->run({at::ones({1, 2})})[0], at::ones({1, 2})));
  });
}

// Each step in float gives a value to the integers: what lies far from their grid is looked for once along all of them.
TEST(DeepLowering, LooksForFarValuesOnce) {
  test::on_small_stack([] {
    test::Net net({1, 4});
    std::vector<Node*> steps;
    for (int64_t i = 0; i < kDeep; ++i) steps.push_back(net.call("aten.sin.default", {Arg(net.last)}));
    test::LambdaQuantizer quantizer([&](GraphModule&) {
      for (Node* step : steps) ensure_annotation(*step).output_qspec = test::activation_spec(false);
    });
    const auto prepared = prepare_pt2e(net.finish(), quantizer);
    prepared->run({at::rand({1, 4})});
    EXPECT_GE(lower(*convert_pt2e(prepared)).operators.size(), static_cast<size_t>(kDeep));
  });
}

// One quantize behind a row of views and activations, which all are computed with the operator in front.
TEST(DeepLowering, FindsTheGridBehindARow) {
  test::on_small_stack([] {
    test::Net net({1, 4});
    Node* first = net.call("aten.abs.default", {Arg(net.last)});
    add_steps(net, "aten.relu.default");
    Node* last = net.last;
    Node* input = first->arg(size_t{0}).node();
    test::LambdaQuantizer quantizer([&](GraphModule&) {
      ensure_annotation(*input).output_qspec = test::activation_spec(false);
      ensure_annotation(*last).output_qspec = test::activation_spec(false);
    });
    const auto prepared = prepare_pt2e(net.finish(), quantizer);
    prepared->run({at::rand({1, 4})});
    EXPECT_GE(lower(*convert_pt2e(prepared)).operators.size(), 1U);
  });
}

}  // namespace
}  // namespace octet
