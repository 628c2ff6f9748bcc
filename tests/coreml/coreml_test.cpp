// coremltools' CoreMLQuantizer: its settings, its order, and what it sees while it calibrates.

#include "octet/targets/coreml/coreml_quantizer.h"

#include <gtest/gtest.h>

#include "octet/quantize/calibrate.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/targets.h"
#include "tests/engine/graph_builder.h"
#include "tests/graph/expect_error.h"

namespace octet::coreml {
namespace {

using test::expect_error;
using test::GraphBuilder;

// conv - relu - max_pool - conv - flatten - linear.
struct PooledNet {
  GraphBuilder g;
  Node* relu = g.call("aten.relu.default", {g.conv2d("c", g.input({2, 3, 8, 8}), 3, 4)});
  Node* pool = g.call("aten.max_pool2d.default", {relu, std::vector<int64_t>{2, 2}});
  Node* second = g.conv2d("d", pool, 4, 4);
  Node* flat = g.call("aten.flatten.using_ints", {second, 1});
  std::shared_ptr<GraphModule> model = g.finish({g.linear("fc", flat, 64, 5)});
};

std::shared_ptr<GraphModule> quantized(const PooledNet& net, const LinearQuantizerConfig& config, bool quirks = false) {
  CoreMLQuantizer quantizer(config, quirks);
  auto prepared = prepare_pt2e(net.model->copy(), quantizer);
  calibrate(*prepared, {net.g.inputs()});
  return convert_pt2e(prepared);
}

QuantRow row_of(const GraphModule& model, const std::string& name) {
  for (const QuantRow& row : quantization_rows(model)) {
    if (row.name == name) return row;
  }
  ADD_FAILURE() << "no row " << name;
  return {};
}

TEST(CoreML, QuantizesWithItsOwnNumbers) {
  at::manual_seed(1);
  PooledNet net;
  const auto model = quantized(net, {});
  const QuantRow conv = row_of(*model, "conv2d");
  ASSERT_TRUE(conv.inputs.at(0) && conv.inputs.at(1));
  EXPECT_EQ(conv.inputs[0]->dtype, "uint8");
  EXPECT_EQ(conv.inputs[0]->zero_point, std::vector<int64_t>{128});
  EXPECT_EQ(conv.inputs[1]->dtype, "int8");
  EXPECT_EQ(conv.inputs[1]->quant_min, -128);
  EXPECT_EQ(conv.inputs[1]->axis, 0);
  EXPECT_FALSE(conv.inputs.at(2)) << "biases stay in float";
  EXPECT_FALSE(conv.output) << "the relu's result is quantized in its place";
  EXPECT_EQ(row_of(*model, "relu").output->zero_point, std::vector<int64_t>{0}) << "affine, since never negative";
  EXPECT_EQ(row_of(*model, "max_pool2d").output, row_of(*model, "relu").output);
  EXPECT_EQ(row_of(*model, "flatten").output, row_of(*model, "conv2d_1").output);
  EXPECT_EQ(row_of(*model, "linear").output->zero_point, std::vector<int64_t>{128});
}

// The pool is decided last: the convolution behind it asks for a grid of its own before it knows the pool's.
TEST(CoreML, GivesAPoolsResultASecondGrid) {
  at::manual_seed(2);
  PooledNet net;
  const auto model = quantized(net, {});
  const QuantRow pool = row_of(*model, "max_pool2d");
  ASSERT_EQ(pool.then.size(), 1U);
  EXPECT_EQ(pool.output->zero_point, std::vector<int64_t>{0});
  EXPECT_EQ(pool.then[0].zero_point, std::vector<int64_t>{128});
  EXPECT_EQ(row_of(*model, "conv2d_1").inputs.at(0), pool.then[0]);
}

TEST(CoreML, LeavesPoolsInFloatWithTheReferencesQuirks) {
  at::manual_seed(3);
  PooledNet net;
  const auto model = quantized(net, {}, /*quirks=*/true);
  const QuantRow pool = row_of(*model, "max_pool2d");
  EXPECT_EQ(pool.inputs.at(0)->zero_point, std::vector<int64_t>{0});
  EXPECT_EQ(pool.output->zero_point, std::vector<int64_t>{128}) << "what reads it gives it a grid";
  EXPECT_TRUE(pool.then.empty());
}

TEST(CoreML, RoundsWhileItWatches) {
  at::manual_seed(4);
  PooledNet net;
  CoreMLQuantizer quantizer({});
  auto prepared = prepare_pt2e(net.model->copy(), quantizer);
  const at::Tensor in_float = net.model->run(net.g.inputs()).at(0);
  calibrate(*prepared, {net.g.inputs()});
  const at::Tensor seen = prepared->run(net.g.inputs()).at(0);
  EXPECT_FALSE(at::allclose(seen, in_float, 1e-6, 1e-6)) << "every value is rounded in calibration too";
  EXPECT_TRUE(at::allclose(seen, in_float, 0.2, 0.2));
}

TEST(CoreML, ChoosesByNameAndType) {
  at::manual_seed(5);
  PooledNet net;
  LinearQuantizerConfig config;
  config.module_name_configs = {{"d", std::nullopt}};
  config.module_type_configs = {
      {"aten.linear", ModuleLinearQuantizerConfig{.weight_dtype = Dtype::kQuint8, .weight_per_channel = false}}};
  const auto model = quantized(net, config);
  EXPECT_FALSE(row_of(*model, "conv2d_1").inputs.at(1));
  EXPECT_TRUE(row_of(*model, "conv2d").inputs.at(1));
  const QuantRow linear = row_of(*model, "linear");
  EXPECT_EQ(linear.inputs.at(1)->dtype, "uint8");
  EXPECT_EQ(linear.inputs.at(1)->zero_point, std::vector<int64_t>{128});
  EXPECT_FALSE(linear.inputs.at(1)->axis);
  // The reference's filter asks the weight too, and quantizes nothing that was chosen so.
  const auto quirks = quantized(net, config, /*quirks=*/true);
  EXPECT_FALSE(row_of(*quirks, "linear").inputs.at(1));
}

TEST(CoreML, TakesWeightsAloneAndEightBitsForFour) {
  at::manual_seed(6);
  PooledNet net;
  LinearQuantizerConfig config;
  config.global_config = ModuleLinearQuantizerConfig{
      .weight_dtype = Dtype::kQint4, .activation_dtype = Dtype::kFloat32, .weight_observer = ObserverType::kMinMax};
  CoreMLQuantizer quantizer(config);
  auto prepared = prepare_pt2e(net.model->copy(), quantizer);
  EXPECT_FALSE(needs_calibration(*prepared));
  const auto model = convert_pt2e(prepared);
  const QuantRow conv = row_of(*model, "conv2d");
  EXPECT_FALSE(conv.inputs.at(0) || row_of(*model, "relu").output);
  EXPECT_EQ(conv.inputs.at(1)->quant_min, -128);
  EXPECT_EQ(conv.inputs.at(1)->quant_max, 127);
}

TEST(CoreML, RefusesWhatCoremltoolsRefuses) {
  expect_error([] { quantization_config({.activation_dtype = Dtype::kQuint4}); }, {"activation_dtype", "four bits"});
  EXPECT_FALSE(quantization_config({.weight_dtype = Dtype::kFloat32}));
  LinearQuantizerConfig config;
  config.module_type_configs = {{"", std::nullopt}};
  expect_error([&] { CoreMLQuantizer quantizer(config); }, {"selects nothing"});
}

// A BatchNorm behind a linear stays between them in training, in float, as in the reference (C7); behind a convolution
// it is folded.
TEST(CoreML, TrainsConvolutionsAsOneWithABatchNormAndLinearsNot) {
  at::manual_seed(7);
  GraphBuilder g;
  Node* conv = g.call("aten.relu.default", {g.batch_norm("n", g.conv2d("c", g.input({4, 3, 4, 4}), 3, 4), 4)});
  Node* flat = g.call("aten.flatten.using_ints", {conv, 1});
  const auto model = g.finish({g.call("aten.relu.default", {g.batch_norm("m", g.linear("fc", flat, 64, 5), 5)})});
  targets::TableQuantizer quantizer(all_targets().find("coreml"), {.scheme = "qat-symmetric"});
  const auto trained = calibrate_and_quantize(model, {g.inputs()}, quantizer);
  std::vector<std::string> ops;
  for (const QuantRow& row : quantization_rows(*trained)) ops.push_back(row.op);
  EXPECT_EQ(ops,
            (std::vector<std::string>{"input", "aten.conv2d.default", "aten.relu.default", "aten.flatten.using_ints",
                                      "aten.linear.default", "aten.batch_norm.default", "aten.relu.default"}));
  EXPECT_FALSE(row_of(*trained, "linear").output);
  EXPECT_TRUE(row_of(*trained, "relu_1").output);
}

TEST(CoreML, LeavesABatchNormBehindAConvolutionOfVolumesInTraining) {
  at::manual_seed(7);
  GraphBuilder g;
  const std::vector<int64_t> ones = {1, 1, 1};
  Node* conv = g.call("aten.conv3d.default", {g.input({2, 3, 4, 4, 4}), g.parameter("c.weight", {4, 3, 3, 3, 3}),
                                              g.parameter("c.bias", {4}), ones, ones, ones, 1});
  const auto model = g.finish({g.call("aten.relu.default", {g.batch_norm("n", conv, 4)})});
  targets::TableQuantizer quantizer(all_targets().find("coreml"), {.scheme = "qat-symmetric"});
  const auto trained = calibrate_and_quantize(model, {g.inputs()}, quantizer);
  EXPECT_NE(test::ops_of(*trained).find("batch_norm.default"), std::string::npos);
  EXPECT_FALSE(row_of(*trained, "conv3d").output);
  EXPECT_TRUE(row_of(*trained, "conv3d").inputs.at(1) && row_of(*trained, "relu").output);
}

}  // namespace
}  // namespace octet::coreml
