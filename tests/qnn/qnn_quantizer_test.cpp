// QnnQuantizer's setters, and what an observer of a concatenation does to those that follow it.
#include "octet/targets/qnn/qnn_quantizer.h"

#include <gtest/gtest.h>

#include "octet/formats/container.h"
#include "tests/engine/graph_builder.h"
#include "tests/qnn/quantized_case.h"

namespace octet {
namespace {

using qnn::QuantDtype;
using test::GoldenCase;
using test::rows_of;

// Its result may lie on a grid that its reader asks for.
bool reads_floats(const QuantRow& row) {
  return std::none_of(row.inputs.begin(), row.inputs.end(), [](const auto& input) { return input.has_value(); });
}

TEST(QnnQuantizer, DiscardsStayInFloat) {
  QnnQuantizer by_name;
  by_name.add_discard_nodes({"conv2d"});
  EXPECT_TRUE(reads_floats(rows_of(*GoldenCase("op_sigmoid").quantized(by_name), "aten.conv2d.default").at(0)));
  QnnQuantizer by_op;
  by_op.add_discard_ops({"aten.sigmoid.default"});
  const auto converted = GoldenCase("op_sigmoid").quantized(by_op);
  EXPECT_FALSE(reads_floats(rows_of(*converted, "aten.conv2d.default").at(0)));
  EXPECT_FALSE(rows_of(*converted, "aten.sigmoid.default").at(0).output);
}

TEST(QnnQuantizer, CastsAreQuantizedOnTheirFloatSideAlone) {
  for (const at::ScalarType other : {at::kDouble, at::kInt}) {
    test::GraphBuilder g;
    Node* there = g.call("aten.to.dtype", {g.input({2, 3}), static_cast<int64_t>(other)});
    const auto model = g.finish({g.call("aten.to.dtype", {there, static_cast<int64_t>(at::kFloat)})});
    QnnQuantizer quantizer;
    const auto converted = calibrate_and_quantize(model, {g.inputs()}, quantizer);
    const std::vector<QuantRow> casts = rows_of(*converted, "aten.to.dtype");
    ASSERT_EQ(casts.size(), 2U);
    EXPECT_TRUE(casts[0].inputs.at(0).has_value() && !casts[0].output) << other;
    EXPECT_TRUE(!casts[1].inputs.at(0).has_value() && casts[1].output.has_value()) << other;
  }
}

// As torch.tensor(0.3) within forward is exported.
TEST(QnnQuantizer, ConstantsMadeInForwardAreFolded) {
  test::GraphBuilder g;
  Node* fresh = g.call("aten.lift_fresh_copy.default", {g.tensor("c", at::full({}, 0.3), AttrKind::kConstant)});
  Node* limit = g.call("aten.detach_.default", {fresh});
  const auto model = g.finish({g.call("aten.minimum.default", {g.input({2, 3}), limit})});
  QnnQuantizer quantizer;
  const auto converted = calibrate_and_quantize(model, {g.inputs()}, quantizer);
  EXPECT_FALSE(rows_of(*converted, "aten.detach_.default").at(0).output);
  EXPECT_TRUE(rows_of(*converted, "aten.minimum.default").at(0).inputs.at(1));
}

TEST(QnnQuantizer, TheFirstPredicateThatHoldsGivesTheConfig) {
  QnnQuantizer quantizer;
  quantizer.set_default_quant_config({.is_conv_per_channel = true});
  const auto is_conv = [](const Node& node) { return node.is_call("aten.conv2d.default"); };
  quantizer.set_submodule_qconfig_list(
      {{is_conv, {.quant_dtype = QuantDtype::use_16a4w}}, {is_conv, {.quant_dtype = QuantDtype::use_16a16w}}});
  const auto converted = GoldenCase("conv_relu").quantized(quantizer);
  const QuantRow conv = rows_of(*converted, "aten.conv2d.default").at(0);
  EXPECT_EQ(conv.inputs.at(0)->quant_max, 65535);
  EXPECT_EQ(conv.inputs.at(1)->quant_max, 7);
  // Written on its own grid, read on that of the relu.
  ASSERT_EQ(conv.then.size(), 1U);
  EXPECT_EQ(conv.then.at(0).dtype, "uint8");
}

TEST(QnnQuantizer, BlocksAreGivenByName) {
  QnnQuantizer quantizer;
  quantizer.set_default_quant_config({.quant_dtype = QuantDtype::use_16a4w_block, .is_conv_per_channel = true});
  quantizer.set_block_size_map({{"conv2d", {1, 1, 1, 1}}});
  const auto converted = GoldenCase("conv_relu").quantized(quantizer);
  const auto weight = rows_of(*converted, "aten.conv2d.default").at(0).inputs.at(1);
  EXPECT_EQ(weight->block_size, (std::vector<int64_t>{1, 1, 1, 1}));
  EXPECT_THROW(quantizer.set_block_size_map({{"conv2d", {2, 4, 1, 1}}}), Error);
  EXPECT_THROW(quantizer.set_block_size_map({{"conv2d", {1, 0, 1, 1}}}), Error);
}

TEST(QnnQuantizer, CustomAnnotationsComeLast) {
  QnnQuantizer quantizer;
  quantizer.add_custom_quant_annotations({[](GraphModule& module) {
    for (Node* node : module.graph().nodes()) {
      if (node->is_call("aten.relu.default")) node->notes().erase(kAnnotationKey);
    }
  }});
  const auto converted = GoldenCase("conv_relu").quantized(quantizer);
  EXPECT_FALSE(rows_of(*converted, "aten.relu.default").at(0).output);
  EXPECT_TRUE(rows_of(*converted, "aten.conv2d.default").at(0).output);
}

TEST(QnnQuantizer, ConfigsOfTwoModesAreRefused) {
  QnnQuantizer quantizer;
  quantizer.set_default_quant_config({.is_qat = true});
  EXPECT_EQ(quantizer.mode(), QuantizationMode::kQat);
  EXPECT_THROW(quantizer.set_submodule_qconfig_list({{[](const Node&) { return true; }, {}}}), Error);
}

// What a copy or a loaded model joins goes on to follow.
TEST(QnnQuantizer, FollowersAreKeptInCopiesAndFiles) {
  const test::TemporaryFolder folder;
  const GoldenCase cat("op_cat");
  QnnQuantizer quantizer;
  const auto prepared = prepare(cat.model(), quantizer);
  save_octet(*prepared, folder.file("prepared.octet"));
  for (const auto& model : {prepared->copy(), load_octet(folder.file("prepared.octet"))}) {
    calibrate(*model, cat.samples());
    const QuantRow row = rows_of(*convert_pt2e(model), "aten.cat.default").at(0);
    EXPECT_EQ(row.inputs.at(0), row.output);
    EXPECT_EQ(row.inputs.at(1), row.output);
  }
}

TEST(QnnQuantizer, InfinitiesBecomeAsManyLevelsAsAGridHas) {
  test::GraphBuilder g;
  at::Tensor mask = at::zeros({4, 4});
  mask.index_put_({at::arange(3), at::arange(1, 4)}, at::full({3}, -std::numeric_limits<float>::infinity()));
  Node* sum = g.call("aten.add.Tensor", {g.input({4, 4}), g.tensor("mask", mask)});
  const auto model = g.finish({g.call("aten.softmax.int", {sum, int64_t{-1}})});
  const auto exact = model->run(g.inputs()).at(0);
  QnnQuantizer quantizer;
  auto prepared = prepare(model, quantizer);
  EXPECT_EQ(prepared->attr("mask").min().item<float>(), -255.0F);
  calibrate(*prepared, {g.inputs()});
  const auto converted = finish(std::move(prepared), quantizer);
  EXPECT_LT((converted->run(g.inputs()).at(0) - exact).abs().max().item<double>(), 0.5);
}

}  // namespace
}  // namespace octet
