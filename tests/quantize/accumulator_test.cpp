#include "octet/quantize/accumulator.h"

#include <gtest/gtest.h>

#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sqnr.h"
#include "octet/support/error.h"
#include "tests/quantize/test_nets.h"

namespace octet {
namespace {

using test::ints;

struct Product {
  const char* op;
  std::vector<int64_t> input;
  std::vector<int64_t> weight;
  int64_t out;
  NamedArgs named;
};

std::vector<Product> products() {
  return {{"aten.conv2d.default", {2, 4, 7, 7}, {6, 4, 3, 3}, 6, {{"padding", ints({1, 1})}}},
          {"aten.conv2d.default", {2, 4, 7, 7}, {4, 1, 3, 3}, 4, {{"groups", Arg(4)}}},
          {"aten.conv_transpose2d.input", {2, 4, 5, 5}, {4, 6, 3, 3}, 6, {}},
          {"aten.conv_transpose2d.input", {2, 4, 5, 5}, {4, 3, 3, 3}, 6, {{"groups", Arg(2)}}},
          {"aten.linear.default", {8, 5}, {7, 5}, 7, {}}};
}

// Channels of any size, from dead to enormous, each with a bias of any size.
void scatter(GraphModule& module, const Product& product) {
  const at::NoGradGuard no_grad;
  const bool transposed = std::string(product.op).find("transpose") != std::string::npos;
  std::vector<int64_t> shape(product.weight.size(), 1);
  const size_t axis = transposed ? 1 : 0;
  shape[axis] = product.weight[axis];
  const auto of_any_size = [](std::vector<int64_t> sizes, double least, double most) {
    return at::pow(at::full(sizes, 10.0), at::rand(sizes) * (most - least) + least);
  };
  module.attr("c.weight").mul_(of_any_size(shape, -12, 2));
  module.attr("c.bias").mul_(of_any_size({product.out}, -3, 5));
}

std::shared_ptr<GraphModule> prepared_net(const Product& product, bool qat, bool per_channel, bool normalized) {
  test::Net net(product.input);
  net.conv(product.op, "c", product.weight, product.out, true, product.named);
  if (normalized) net.batch_norm("bn", product.out);
  auto module = net.finish();
  scatter(*module, product);
  test::SimpleQuantizer quantizer(qat, per_channel);
  return qat ? prepare_qat_pt2e(module, quantizer) : prepare_pt2e(module, quantizer);
}

// The property: whatever the scales and biases, no sum leaves int32, and training sees the grid that convert writes.
TEST(Accumulators, KeepWithinInt32WhateverTheScales) {
  at::manual_seed(3);
  for (int round = 0; round < 8; ++round) {
    for (const Product& product : products()) {
      for (const int mode : {0, 1, 2, 3}) {
        const bool qat = mode >= 2;
        auto prepared = prepared_net(product, qat, /*per_channel=*/mode % 2 == 0, /*normalized=*/qat && round % 2 == 1);
        prepared->train(false);
        const at::Tensor x = at::randn(product.input);
        prepared->run({x});
        const at::Tensor trained = prepared->run({x}).at(0);
        const auto converted = convert_pt2e(prepared);
        for (const Node* node : converted->graph().nodes()) {
          EXPECT_FALSE(accumulator_excess(*converted, *node)) << product.op << " mode " << mode << " round " << round;
        }
        if (!qat) continue;
        EXPECT_TRUE(at::equal(converted->run({x}).at(0), trained))
            << product.op << " mode " << mode << " round " << round;
      }
    }
  }
}

// One dead channel: a bias of 40 on weights of 1e-13.
test::Net net_with_a_dead_channel() {
  test::Net net({1, 3, 6, 6});
  net.conv2d("c", 3, 4, true);
  const at::NoGradGuard no_grad;
  net.module->attr("c.weight")[2].mul_(1e-12);
  net.module->attr("c.bias")[2].fill_(40.0);
  return net;
}

TEST(Accumulators, TheScaleOfADeadChannelAloneIsEnlargedAndSaid) {
  for (const bool qat : {false, true}) {
    at::manual_seed(4);
    test::Net net = net_with_a_dead_channel();
    auto module = net.finish();
    const at::Tensor x = at::randn({1, 3, 6, 6});
    const at::Tensor wanted = module->run({x}).at(0);
    test::SimpleQuantizer quantizer(qat);
    auto prepared = qat ? prepare_qat_pt2e(module, quantizer) : prepare_pt2e(module, quantizer);
    prepared->train(false);
    prepared->run({x});
    testing::internal::CaptureStderr();
    const auto converted = convert_pt2e(prepared);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("conv2d"), std::string::npos) << said;
    EXPECT_NE(said.find("1 of 4 channels are enlarged"), std::string::npos) << said;
    const at::Tensor got = converted->run({x}).at(0);
    EXPECT_GT(compute_error(wanted, got), 25.0);
    EXPECT_LT((got - wanted).select(1, 2).abs().max().item<double>(), 0.5) << "the dead channel";
  }
}

TEST(Accumulators, OrdinaryScalesStayAsTheyAre) {
  at::manual_seed(5);
  test::Net net({1, 3, 6, 6});
  net.conv2d("c", 3, 4, true);
  auto module = net.finish();
  const at::Tensor weight = module->attr("c.weight").detach().clone();
  test::SimpleQuantizer quantizer(false);
  auto prepared = prepare_pt2e(module, quantizer);
  prepared->run({at::randn({1, 3, 6, 6})});
  testing::internal::CaptureStderr();
  const auto converted = convert_pt2e(prepared);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  const QuantRow row = quantization_rows(*converted).back();
  ASSERT_TRUE(row.inputs.at(1));
  for (int64_t c = 0; c < 4; ++c) {
    const double most = weight[c].abs().max().item<double>();
    EXPECT_NEAR(row.inputs[1]->scale[static_cast<size_t>(c)], most / 127, 1e-6 * most);
  }
}

// Two computed matrices have no scale to enlarge.
TEST(Accumulators, WhatMayStillLeaveInt32IsRefused) {
  for (const int64_t length : {130000, 140000}) {
    test::Net net({1, 1, length});
    Node* x = net.last;
    Node* y = net.input("y", {1, length, 1});
    net.call("aten.bmm.default", {Arg(x), Arg(y)});
    auto module = net.finish();
    test::LambdaQuantizer quantizer([&](GraphModule& model) {
      Node* product = test::calls(model, "aten.bmm.default").front();
      auto& note = ensure_annotation(*product);
      for (Node* input : {x, y}) note.set_input(input, test::weight_spec(false, false, 0));
      note.output_qspec = test::activation_spec(false);
    });
    auto prepared = prepare_pt2e(module, quantizer);
    prepared->run({at::randn({1, 1, length}), at::randn({1, length, 1})});
    if (length == 130000) {
      EXPECT_NO_THROW(convert_pt2e(prepared));
      continue;
    }
    try {
      convert_pt2e(prepared);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("[bmm"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("within int32"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace octet
