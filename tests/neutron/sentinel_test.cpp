// Numbers that stand for "nothing here", in front of a softmax or a maximum: no grid holds them, none forgets them.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/quantize/sqnr.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"

namespace octet {
namespace {

using test::GraphBuilder;

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr double kLeastFloat = std::numeric_limits<float>::lowest();

std::shared_ptr<GraphModule> quantized_on(const std::shared_ptr<GraphModule>& model,
                                          const std::vector<at::Tensor>& inputs, bool is_qat) {
  NeutronOptions options;
  options.is_qat = is_qat;
  options.mul_range = MulRange::kObserved;
  NeutronQuantizer quantizer(options);
  return calibrate_and_quantize(model->copy(), {inputs}, quantizer);
}

TEST(Sentinels, APaddedMaximumReadsTheOtherValues) {
  for (const double pad : {-kInfinite, kLeastFloat, -1e9, -1e4}) {
    for (const bool is_qat : {false, true}) {
      at::manual_seed(0);
      GraphBuilder g;
      Node* x = g.conv2d("a", g.input({1, 3, 12, 12}), 3, 4);
      Node* padded = g.call("aten.pad.default", {x, std::vector<int64_t>{0, 1, 0, 1}, "constant", pad});
      const auto model = g.finish(
          {g.call("aten.max_pool2d.default", {padded, std::vector<int64_t>{3, 3}, std::vector<int64_t>{2, 2}})});
      const at::Tensor wanted = model->copy()->run(g.inputs())[0];
      const at::Tensor got = quantized_on(model, g.inputs(), is_qat)->run(g.inputs())[0];
      EXPECT_GT(compute_error(wanted, got), 30.0) << pad << (is_qat ? " in training" : "");
    }
  }
}

// Attention over 8 places: each sees those before it. `mask` is added to the scores.
struct Attention {
  GraphBuilder g;
  std::shared_ptr<GraphModule> model;
  Node* shares = nullptr;

  explicit Attention(const at::Tensor& mask) {
    at::manual_seed(1);
    Node* x = g.input({2, 8, 16});
    Node* keys = g.call("aten.transpose.int", {g.linear("k", x, 16, 16), int64_t{1}, int64_t{2}});
    Node* scores = g.call("aten.bmm.default", {g.linear("q", x, 16, 16), keys});
    Node* masked = g.call("aten.add.Tensor", {scores, g.tensor("mask", mask)});
    shares = g.call("aten.softmax.int", {masked, int64_t{-1}});
    model = g.finish({g.call("aten.bmm.default", {shares, g.linear("v", x, 16, 16)}), shares});
  }
};

TEST(Sentinels, AMaskLeavesNoShareOfTheSoftmax) {
  const at::Tensor future = at::ones({8, 8}, at::kBool).triu(1);
  for (const double sentinel : {-kInfinite, kLeastFloat, -1e9, -1e4}) {
    for (const bool is_qat : {false, true}) {
      const Attention attention(at::zeros({8, 8}).masked_fill(future, sentinel));
      const std::vector<at::Tensor> wanted = attention.model->copy()->run(attention.g.inputs());
      const auto quantized = quantized_on(attention.model, attention.g.inputs(), is_qat);
      const std::vector<at::Tensor> got = quantized->run(attention.g.inputs());
      const std::string which = octet::str(sentinel, is_qat ? " in training" : "");
      EXPECT_EQ(got[1].masked_select(future).max().item<double>(), 0.0) << which;
      EXPECT_GT(compute_error(wanted[1], got[1]), 20.0) << which;
      EXPECT_GT(compute_error(wanted[0], got[0]), 18.0) << which;
      const integer::Executor program(lower(*quantized, {.batch = 2}));
      const std::vector<at::Tensor> integers = program.run_dequantized(attention.g.inputs());
      EXPECT_EQ(integers[1].masked_select(future).max().item<double>(), 0.0) << which << ", in integers";
    }
  }
}

// (1 - mask) * -1e9: in integers too, where the product of two levels is far beyond the result's grid.
TEST(Sentinels, AFactorOfAMaskKeepsWithinInt32) {
  for (const double sentinel : {kLeastFloat, -1e9, -1e6, -1e4}) {
    for (const bool is_qat : {false, true}) {
      at::manual_seed(3);
      GraphBuilder g;
      Node* scores = g.input({2, 8, 8});
      Node* gone = g.call("aten.rsub.Scalar", {g.input({2, 1, 8}), 1.0});
      Node* low = g.call("aten.mul.Tensor", {gone, g.tensor("low", at::scalar_tensor(sentinel))});
      Node* masked = g.call("aten.add.Tensor", {scores, low});
      const auto model = g.finish({g.call("aten.softmax.int", {masked, int64_t{-1}})});
      const at::Tensor present =
          (at::arange(8).reshape({1, 1, 8}) < at::tensor({5, 3}).reshape({2, 1, 1})).to(at::kFloat);
      const std::vector<at::Tensor> inputs = {at::randn({2, 8, 8}), present};
      const at::Tensor wanted = model->copy()->run(inputs)[0];
      const auto quantized = quantized_on(model, inputs, is_qat);
      const at::Tensor integers = integer::Executor(lower(*quantized, {.batch = 2})).run_dequantized(inputs)[0];
      const std::string which = octet::str(sentinel, is_qat ? " in training" : "");
      EXPECT_GT(compute_error(wanted, quantized->run(inputs)[0]), 20.0) << which;
      EXPECT_GT(compute_error(wanted, integers), 20.0) << which << ", in integers";
    }
  }
}

// The bias of a position beside the sentinel keeps its own resolution.
TEST(Sentinels, AMaskMayHoldABiasToo) {
  at::manual_seed(2);
  const at::Tensor future = at::ones({8, 8}, at::kBool).triu(1);
  const Attention attention((at::randn({8, 8}) * 2).masked_fill(future, kLeastFloat));
  const at::Tensor wanted = attention.model->copy()->run(attention.g.inputs())[1];
  const at::Tensor got = quantized_on(attention.model, attention.g.inputs(), false)->run(attention.g.inputs())[1];
  EXPECT_GT(compute_error(wanted, got), 16.0);
}

}  // namespace
}  // namespace octet
