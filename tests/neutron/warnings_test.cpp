#include "octet/targets/engine/placement/warnings.h"

#include <ATen/ops/linspace.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <sstream>

#include "octet/quantize/compare.h"
#include "octet/quantize/qdq.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/operator_table.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/targets/neutron/target.h"
#include "tests/engine/graph_builder.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using targets::Warning;
using test::GraphBuilder;

std::shared_ptr<GraphModule> calibrated(GraphBuilder& b, Node* result, double reach = 1.0,
                                        MulRange mul_range = MulRange::kReference) {
  at::manual_seed(0);
  auto module = b.finish({result});
  std::vector<std::vector<at::Tensor>> samples(1);
  for (const at::Tensor& input : b.inputs()) samples[0].push_back((at::rand_like(input) * 2 - 1) * reach);
  NeutronOptions options;
  options.mul_range = mul_range;
  NeutronQuantizer quantizer(options);
  auto result_module = calibrate_and_quantize(module, samples, quantizer);
  propagate_shapes(*result_module, b.inputs());
  return result_module;
}

std::vector<Warning> warnings(const GraphModule& module) {
  return targets::find_warnings(module, neutron::target(NeutronTargetSpec("imxrt700")));
}

// Exactly one warning, and it says this.
void expect_warning(const std::vector<Warning>& found, const std::string& text) {
  ASSERT_EQ(found.size(), 1u) << (found.empty() ? "" : found.back().text);
  EXPECT_NE(found[0].text.find(text), std::string::npos) << found[0].text;
}

Node* product_of_relus(GraphBuilder& b) {
  Node* x = b.call("aten.relu.default", {b.input({2, 3})});
  return b.call("aten.mul.Tensor", {x, x});
}

TEST(Warnings, FixedRangesThatCutOff) {
  {
    GraphBuilder b;
    Node* result = product_of_relus(b);
    const auto found = warnings(*calibrated(b, result, 3.0));
    expect_warning(found, "are cut off at -0.5 and 0.496");
    EXPECT_EQ(found[0].way_out, "--mul-range observed");
  }
  {
    GraphBuilder b;
    Node* result = product_of_relus(b);
    EXPECT_TRUE(warnings(*calibrated(b, result, 3.0, MulRange::kObserved)).empty());
  }
  GraphBuilder within;
  Node* result = product_of_relus(within);
  EXPECT_TRUE(warnings(*calibrated(within, result, 0.49)).empty());
}

TEST(Warnings, ConstantsThatAreCutOff) {
  for (const double factor : {0.25, 3.0}) {
    GraphBuilder b;
    Node* x = b.input({2, 3});
    Node* result = b.call("aten.mul.Tensor", {x, b.tensor("factor", at::full({3}, factor))});
    const auto found = warnings(*calibrated(b, result, 0.4));
    if (factor < 0.5) {
      EXPECT_TRUE(found.empty());
    } else {
      expect_warning(found, "its constant lies at the end of -0.5 to 0.496");
    }
  }
}

TEST(Warnings, BeforeCalibrationWhatMayBeCutOff) {
  GraphBuilder b;
  Node* result = product_of_relus(b);
  const auto module = b.finish({result});
  NeutronOptions options;
  NeutronQuantizer observed(options);
  EXPECT_TRUE(targets::check_model(*module, observed).warnings.empty());
  options.mul_range = MulRange::kReference;
  NeutronQuantizer fixed(options);
  expect_warning(targets::check_model(*module, fixed).warnings, "values beyond -0.5 to 0.496");
}

Node* conv_with(GraphBuilder& b, const at::Tensor& weight, const at::Tensor& bias) {
  return b.call("aten.conv2d.default", {b.input({1, 3, 6, 6}), b.tensor("c.weight", weight), b.tensor("c.bias", bias)});
}

// The warnings at the end of a quantization, by what a sample shows.
std::vector<Warning> losses(GraphBuilder& b, const std::vector<Node*>& results, const std::vector<at::Tensor>& sample,
                            MulRange mul_range = MulRange::kObserved) {
  const auto module = b.finish({results.begin(), results.end()});
  NeutronOptions options;
  options.mul_range = mul_range;
  NeutronQuantizer quantizer(options);
  const auto reference = quantizer.explain(*module).model;
  const auto quantized = calibrate_and_quantize(module, {sample}, quantizer);
  const auto before = quantized->run(sample).at(0);
  const auto found = value_losses(*reference, *quantized, {sample});
  EXPECT_TRUE(at::equal(quantized->run(sample).at(0), before)) << "the model stays as it is";
  return targets::loss_warnings(found, quantizer.target());
}

TEST(LossWarnings, SwishOnAFixedRange) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({4, 64}) * 2;
  const auto swish = [&](MulRange range) {
    GraphBuilder b;
    Node* input = b.input({4, 64});
    Node* sigmoid = b.call("aten.sigmoid.default", {input});
    return losses(b, {b.call("aten.mul.Tensor", {input, sigmoid})}, {x}, range);
  };
  const auto found = swish(MulRange::kReference);
  ASSERT_FALSE(found.empty());
  EXPECT_NE(found[0].where.find("mul"), std::string::npos) << found[0].where;
  EXPECT_NE(found[0].text.find("are cut off at -0.5 and 0.496"), std::string::npos) << found[0].text;
  EXPECT_EQ(found[0].way_out, "--mul-range observed");
  EXPECT_TRUE(swish(MulRange::kObserved).empty());
}

// A detector: boxes in pixels and scores beside them, in one tensor.
TEST(LossWarnings, ScoresThatShareTheGridOfBoxes) {
  at::manual_seed(2);
  const at::Tensor boxes = at::rand({2, 32}) * 272;
  const at::Tensor scores = at::rand({2, 8}) * 0.3;
  const auto detector = [&](bool together) {
    GraphBuilder b;
    Node* first = b.call("aten.relu.default", {b.input({2, 32})});
    Node* second = b.call("aten.relu.default", {b.input({2, 8})});
    if (!together) return losses(b, {first, second}, {boxes, scores});
    Node* cat = b.call("aten.cat.default", {Arg(std::vector<Arg>{first, second}), int64_t{1}});
    return losses(b, {cat}, {boxes, scores});
  };
  EXPECT_TRUE(detector(false).empty());
  const auto found = detector(true);
  ASSERT_EQ(found.size(), 1u) << (found.empty() ? "" : text(found.back()));
  EXPECT_NE((found[0].where + found[0].text).find("cat"), std::string::npos) << text(found[0]);
  EXPECT_NE(found[0].way_out.find("--leave-float 'cat'"), std::string::npos) << text(found[0]);
}

// What says "nothing here" is no value that the grid lacks.
TEST(LossWarnings, SentinelsAreNotCutOff) {
  for (const double sentinel : {-1e4, static_cast<double>(std::numeric_limits<float>::lowest())}) {
    at::manual_seed(4);
    GraphBuilder pool;
    Node* x = pool.conv2d("a", pool.input({1, 3, 12, 12}), 3, 4);
    Node* padded = pool.call("aten.pad.default", {x, std::vector<int64_t>{4, 4, 4, 4}, "constant", sentinel});
    Node* most = pool.call("aten.max_pool2d.default", {padded, std::vector<int64_t>{9, 9}, std::vector<int64_t>{1, 1}});
    for (const Warning& each : losses(pool, {most}, {at::randn({1, 3, 12, 12})})) ADD_FAILURE() << text(each);

    GraphBuilder attention;
    const at::Tensor future = at::ones({8, 8}, at::kBool).triu(1);
    Node* mask = attention.tensor("mask", at::zeros({8, 8}).masked_fill(future, sentinel));
    Node* masked = attention.call("aten.add.Tensor", {attention.input({2, 8, 8}), mask});
    Node* shares = attention.call("aten.softmax.int", {masked, int64_t{-1}});
    for (const Warning& each : losses(attention, {shares}, {at::randn({2, 8, 8})})) ADD_FAILURE() << text(each);
  }
}

// Scores on one level are equal, and other ones are the best.
TEST(LossWarnings, TiesMoveThePlacesThatAreFound) {
  at::manual_seed(5);
  const auto best = [](const at::Tensor& scores, const char* op, std::vector<Arg> options) {
    GraphBuilder b;
    Node* shares = b.call("aten.sigmoid.default", {b.input(scores.sizes().vec())});
    options.insert(options.begin(), b.call("aten.flatten.using_ints", {shares, int64_t{1}}));
    Node* found = b.call(op, options);
    return losses(b, {std::string(op).find("topk") == std::string::npos ? found : b.item(found, 1)}, {scores});
  };
  const at::Tensor many = at::randn({1, 4, 500}) * 6;
  const at::Tensor apart = at::linspace(-3, 3, 20).view({1, 4, 5});
  EXPECT_TRUE(best(apart, "aten.topk.default", {int64_t{5}}).empty());
  EXPECT_TRUE(best(apart, "aten.argmax.default", {int64_t{1}}).empty());
  const auto found = best(many, "aten.topk.default", {int64_t{20}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].where.find("topk"), std::string::npos) << text(found[0]);
  EXPECT_NE(found[0].text.find("have a grid with a step of 0.00391"), std::string::npos) << text(found[0]);
  EXPECT_EQ(found[0].way_out.find("--leave-float 'sigmoid'"), 0u) << text(found[0]);
  EXPECT_EQ(best(at::randn({16, 1, 400}) * 9, "aten.argmax.default", {int64_t{1}}).size(), 1u);
}

TEST(LossWarnings, AnOrdinaryNetworkHasNone) {
  at::manual_seed(3);
  GraphBuilder b;
  Node* x = b.call("aten.relu.default", {b.conv2d("c", b.input({2, 3, 8, 8}), 3, 4)});
  Node* y = b.call("aten.add.Tensor", {x, b.call("aten.relu.default", {b.conv2d("d", x, 4, 4)})});
  EXPECT_TRUE(losses(b, {y}, {at::randn({2, 3, 8, 8})}).empty());
}

TEST(Warnings, SumsBeyondInt32) {
  GraphBuilder b;
  Node* result = conv_with(b, at::full({2, 3, 1, 1}, 1e-6), at::tensor({0.0F, 2.5F}));
  const auto module = calibrated(b, result);
  EXPECT_TRUE(warnings(*module).empty()) << "convert makes room";
  for (const Node* node : module->graph().nodes()) {  // as other quantizers write it
    if (!node->is_get_attr() || module->attr(node->target()).scalar_type() != at::kInt) continue;
    const at::Tensor levels = module->attr(node->target());
    if (levels.abs().max().item<int64_t>() > 1000) levels.select(0, 1).fill_(std::numeric_limits<int32_t>::max());
  }
  expect_warning(warnings(*module), "may leave int32 in 1 of 2 channels");
}

TEST(Warnings, DeadChannels) {
  at::Tensor weight = at::ones({4, 3, 1, 1});
  weight[1].zero_();
  weight[3].zero_();
  GraphBuilder b;
  Node* result = conv_with(b, weight, at::zeros({4}));
  expect_warning(warnings(*calibrated(b, result)), "channels without a weight other than 0: 1, 3");
}

TEST(Warnings, UnevenChannelsOfOneGrid) {
  at::Tensor weight = at::ones({3, 4});
  weight[1] *= 1.0 / 120;
  GraphBuilder b;
  Node* result = b.call("aten.linear.default", {b.input({2, 4}), b.tensor("l.weight", weight)});
  expect_warning(warnings(*calibrated(b, result)), "weights differ 127 times");
  weight[1] *= 12.0;
  GraphBuilder even;
  result = even.call("aten.linear.default", {even.input({2, 4}), even.tensor("l.weight", weight)});
  EXPECT_TRUE(warnings(*calibrated(even, result)).empty());
}

TEST(Warnings, ObserversOfNothing) {
  GraphBuilder b;
  Node* result = b.call("aten.relu.default", {b.input({2, 3})});
  const auto zeros = calibrated(b, result, 0.0);
  const auto found = warnings(*zeros);
  ASSERT_EQ(found.size(), 2u) << "input and result";
  EXPECT_NE(found[0].text.find("saw a constant 0"), std::string::npos) << found[0].text;

  GraphBuilder unseen;
  result = unseen.call("aten.relu.default", {unseen.input({2, 3})});
  auto module = calibrated(unseen, result);
  for (Node* node : module->graph().nodes()) {
    if (!node->is(Trait::kQuantize)) continue;
    node->set_arg("scale", 1.0);
    node->set_arg("zero_point", 0);
  }
  EXPECT_NE(warnings(*module).at(0).text.find("saw no data"), std::string::npos);
}

TEST(Warnings, LayersAlongASequenceThatStayInFloat) {
  GraphBuilder b;
  Node* x = b.input({1, 5, 3});
  const std::vector<Arg> weights = {b.parameter("wi", {12, 3}), b.parameter("wh", {12, 4}), b.parameter("bi", {12}),
                                    b.parameter("bh", {12})};
  Node* state = b.tensor("state", at::zeros({1, 1, 4}));
  Node* all = b.call("aten.gru.input", {x, state, Arg(weights), true, int64_t{1}, 0.0, false, false, true});
  const auto found = warnings(*calibrated(b, b.item(all, 0)));
  expect_warning(found, "stays on the CPU in float");
  EXPECT_NE(found[0].way_out.find("--unroll-rnn yes"), std::string::npos) << found[0].way_out;
}

TEST(OperatorTable, IsTheDocument) {
  std::ifstream in(test::data("../../docs/operators.md"));
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), targets::operator_table(neutron::target(NeutronTargetSpec("imxrt700"))))
      << "write it anew: build/octet operators > docs/operators.md";
}

}  // namespace
}  // namespace octet
