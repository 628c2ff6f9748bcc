#include "octet/quantize/fold_batch_norm.h"

#include <ATen/ops/allclose.h>
#include <gtest/gtest.h>

#include "tests/quantize/test_nets.h"

namespace octet {
namespace {

using test::ints;

struct ConvolutionKind {
  const char* op;
  std::vector<int64_t> input;
  std::vector<int64_t> weight;
  int64_t out;
  bool bias;
  NamedArgs named;
};

TEST(FoldBatchNorm, EveryKindOfConvolution) {
  at::manual_seed(0);
  const std::vector<ConvolutionKind> kinds = {
      {"aten.conv1d.default", {2, 4, 9}, {6, 4, 3}, 6, true, {{"stride", ints({2})}}},
      {"aten.conv1d.padding", {2, 4, 9}, {6, 4, 3}, 6, true, {{"padding", Arg("same")}}},
      {"aten.conv2d.default", {2, 4, 7, 7}, {6, 4, 3, 3}, 6, false, {}},
      {"aten.conv2d.default", {2, 4, 7, 7}, {8, 1, 3, 3}, 8, true, {{"groups", Arg(4)}}},
      {"aten.conv2d.padding", {2, 4, 7, 7}, {6, 4, 3, 3}, 6, true, {{"padding", Arg("same")}}},
      {"aten.conv3d.default", {2, 2, 5, 5, 5}, {4, 2, 3, 3, 3}, 4, true, {}},
      {"aten.conv_transpose1d.default", {2, 4, 7}, {4, 6, 3}, 6, true, {}},
      {"aten.conv_transpose2d.input", {2, 4, 5, 5}, {4, 6, 3, 3}, 6, false, {{"stride", ints({2, 2})}}},
      {"aten.conv_transpose2d.input", {2, 4, 5, 5}, {4, 3, 3, 3}, 6, true, {{"groups", Arg(2)}}},
      {"aten.conv_transpose3d.input", {2, 2, 3, 3, 3}, {2, 4, 2, 2, 2}, 4, true, {}},
      {"aten.linear.default", {3, 5}, {7, 5}, 7, true, {}},
      {"aten.linear.default", {3, 5}, {7, 5}, 7, false, {}},
  };
  for (const ConvolutionKind& kind : kinds) {
    test::Net net(kind.input);
    net.conv(kind.op, "c", kind.weight, kind.out, kind.bias, kind.named);
    net.batch_norm("bn", kind.out, 1e-2);
    auto module = net.finish();
    const at::Tensor x = at::randn(kind.input);
    const at::Tensor before = (*module)(x);
    EXPECT_EQ(fold_batch_norms(*module), 1u) << kind.op;
    module->graph().verify();
    EXPECT_TRUE(test::calls(*module, "aten.batch_norm.default").empty()) << kind.op;
    EXPECT_TRUE(at::allclose(before, (*module)(x), 1e-4, 1e-4)) << kind.op;
    EXPECT_TRUE(module->has_attr("c.bias"));
    EXPECT_FALSE(module->has_attr("bn.weight"));
  }
}

TEST(FoldBatchNorm, TheDecomposedForm) {
  at::manual_seed(1);
  test::Net net({2, 3, 6, 6});
  net.conv("aten.convolution.default", "c", {4, 3, 3, 3}, 4, true,
           {{"stride", ints({1, 1})},
            {"padding", ints({0, 0})},
            {"dilation", ints({1, 1})},
            {"transposed", Arg(false)},
            {"output_padding", ints({0, 0})},
            {"groups", Arg(1)}});
  Node* conv = net.last;
  Node* bn = net.batch_norm("bn", 4, 1e-3);
  Node* tuple = net.call("aten._native_batch_norm_legit_no_training.default",
                         {Arg(conv), bn->arg(1), bn->arg(2), bn->arg(3), bn->arg(4), Arg(0.1), Arg(1e-3)});
  net.last = net.module->graph().get_item(tuple, 0);
  net.module->graph().erase(bn);
  auto module = net.finish();
  const at::Tensor x = at::randn({2, 3, 6, 6});
  const at::Tensor before = (*module)(x);
  EXPECT_EQ(fold_batch_norms(*module), 1u);
  EXPECT_TRUE(at::allclose(before, (*module)(x), 1e-4, 1e-4));
}

// Folded in place, the second convolution would see the first one's scaled weight.
TEST(FoldBatchNorm, ASharedWeightIsClonedForEachUse) {
  at::manual_seed(2);
  test::Net net({2, 3, 6, 6});
  Node* first = net.conv2d("c", 3, 3, true);
  net.batch_norm("bn1", 3);
  Node* again =
      net.call("aten.conv2d.default", {Arg(net.last), first->arg(1), first->arg(2), ints({1, 1}), ints({1, 1})});
  net.batch_norm("bn2", 3);
  net.call("aten.conv2d.default", {Arg(net.last), again->arg(1), again->arg(2), ints({1, 1}), ints({1, 1})});
  auto module = net.finish();
  const at::Tensor x = at::randn({2, 3, 6, 6});
  const at::Tensor before = (*module)(x);
  EXPECT_EQ(fold_batch_norms(*module), 2u);
  EXPECT_TRUE(at::allclose(before, (*module)(x), 1e-4, 1e-4));
}

TEST(FoldBatchNorm, LeavesWhatCannotBeFolded) {
  at::manual_seed(3);
  test::Net net({2, 5, 7});
  net.conv("aten.linear.default", "fc", {7, 7}, 7, true);  // 3-D output: the BatchNorm runs over another axis
  net.batch_norm("bn", 5);
  auto module = net.finish();
  EXPECT_EQ(fold_batch_norms(*module), 0u);

  test::Net trained({2, 3, 6, 6});
  trained.conv2d("c", 3, 4, true);
  trained.batch_norm("bn", 4);
  auto in_train_mode = trained.finish();
  in_train_mode->train(true);
  EXPECT_EQ(fold_batch_norms(*in_train_mode), 0u);

  test::Net read_twice({2, 3, 6, 6});
  Node* conv = read_twice.conv2d("c", 3, 3, true);
  Node* bn = read_twice.batch_norm("bn", 3);
  read_twice.call("aten.add.Tensor", {Arg(conv), Arg(bn)});
  auto shared = read_twice.finish();
  EXPECT_EQ(fold_batch_norms(*shared), 0u);
}

}  // namespace
}  // namespace octet
