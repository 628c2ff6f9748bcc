// torchao's quantize_: weights of 1 to 8 bits in groups, alone or with dynamic activations.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "octet/formats/pt2.h"
#include "octet/formats/pt2_writer.h"
#include "octet/lowering/lowering.h"
#include "octet/quantize/calibrate.h"
#include "octet/quantize/freeze.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sqnr.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/config_file.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/intx/quantize.h"
#include "octet/targets/intx/target.h"
#include "octet/targets/targets.h"
#include "tests/engine/graph_builder.h"
#include "tests/graph/expect_error.h"

namespace octet::intx {
namespace {

using test::expect_error;
using test::GraphBuilder;

// 16 -> 12 -> 10 features with a BatchNorm between; a group of 8 divides the first alone.
struct TwoLinears {
  GraphBuilder g;
  Node* first = g.linear("first", g.input({3, 16}), 16, 12);
  Node* second = g.linear("second", g.call("aten.relu.default", {g.batch_norm("norm", first, 12)}), 12, 10);
  std::shared_ptr<GraphModule> model = g.finish({second});
};

QuantRow row_named(const GraphModule& model, const std::string& name) {
  for (const QuantRow& row : quantization_rows(model)) {
    if (row.name == name) return row;
  }
  ADD_FAILURE() << "no row " << name;
  return {};
}

std::vector<std::string> ops_of(const GraphModule& model) {
  std::vector<std::string> ops;
  for (const QuantRow& row : quantization_rows(model)) ops.push_back(row.op);
  return ops;
}

TEST(Intx, NamesItsModes) {
  using enum MappingType;
  const std::vector<std::pair<std::string, WeightChoice>> names = {
      {"weight-int8-channel", {false, 8, 0, kSymmetric}},
      {"weight-int2-group16", {false, 2, 16, kSymmetric}},
      {"weight-int4-group8-asymmetric", {false, 4, 8, kAsymmetric}},
      {"dynamic-int3-channel-no-clipping", {true, 3, 0, kSymmetricNoClippingErr}}};
  for (const auto& [name, choice] : names) {
    EXPECT_EQ(mode_name(choice), name);
    const auto found = choice_from_mode(name);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(mode_name(*found), name);
    EXPECT_TRUE(all_targets().find("intx")->find_scheme(name));
  }
  for (const char* wrong :
       {"weight-int9-channel", "weight-int0-channel", "weight-int4", "weight-int4-group0", "weight-int4-group-8",
        "weight-int4-group08", "weight-int4-group8-lopsided", "dynamic-int1-channel-no-clipping", "static-int8-channel",
        "weight-int4-group8 ", "weight-int4-group99999999999999999999", ""}) {
    EXPECT_FALSE(choice_from_mode(wrong)) << wrong;
  }
}

TEST(Intx, QuantizesWeightsAloneWhereTheGroupDivides) {
  at::manual_seed(1);
  TwoLinears net;
  const at::Tensor weight = net.model->attr("first.weight").detach().clone();
  const auto wanted = net.model->run(net.g.inputs()).at(0);
  const auto quantized = quantize_(net.model->copy(), IntxWeightOnlyConfig{at::ScalarType::Int4, PerGroup{8}});
  EXPECT_EQ(ops_of(*quantized), ops_of(*net.model));  // the BatchNorm stays
  const QuantRow first = row_named(*quantized, "linear");
  EXPECT_FALSE(first.inputs.at(0) || first.inputs.at(2) || first.output);
  ASSERT_TRUE(first.inputs.at(1));
  EXPECT_EQ(first.inputs[1]->block_size, (std::vector<int64_t>{1, 8}));
  EXPECT_EQ(first.inputs[1]->scale.size(), 24U);
  EXPECT_EQ(first.inputs[1]->quant_min, -8);
  EXPECT_EQ(first.inputs[1]->dtype, "int8");
  const double largest = weight[0].slice(0, 8, 16).abs().max().item<double>();
  EXPECT_NEAR(first.inputs[1]->scale[1], largest / 7.5, 1e-7);
  const QuantRow second = row_named(*quantized, "linear_1");
  EXPECT_FALSE(second.inputs.at(1)) << "8 does not divide 12";
  EXPECT_GT(compute_error(wanted, quantized->run(net.g.inputs()).at(0)), 15.0);
}

// As torch.export writes them.
void name_module(Node* node, const std::string& path, const std::string& type) {
  node->notes()[kModulePathNote] = path;
  node->notes().set_saved(std::string(kTorchNotePrefix) + "nn_module_stack",
                          "L__self__,,net.Net;L__self___" + path + "," + path + "," + type);
}

TEST(Intx, TakesLinearModulesAndFunctionsWithAllAlone) {
  at::manual_seed(7);
  GraphBuilder g;
  Node* module = g.linear("own", g.input({3, 16}), 16, 16);
  Node* derived = g.linear("derived", module, 16, 16);
  Node* tied = g.call("aten.linear.default", {derived, derived->arg("weight")});
  Node* function = g.linear("attention.out", tied, 16, 16);
  const auto model = g.finish({g.linear("unnamed", function, 16, 16)});
  name_module(module, "own", "torch.nn.modules.linear.Linear");
  name_module(derived, "derived", "net.Projection");
  name_module(tied, "tied", "torch.nn.modules.linear.Linear");
  name_module(function, "attention", "torch.nn.modules.activation.MultiheadAttention");
  const auto taken = [&](const std::string& operators) {
    targets::TableQuantizer quantizer(all_targets().find("intx"),
                                      {.scheme = "dynamic-int4-group8", .settings = {{"operators", operators}}});
    std::vector<bool> found;
    for (const QuantRow& row : quantization_rows(*calibrate_and_quantize(model->copy(), {}, quantizer))) {
      if (!row.inputs.empty()) found.push_back(row.inputs.at(1).has_value());
    }
    return found;
  };
  EXPECT_EQ(taken("linear"), (std::vector<bool>{true, true, true, false, true}));
  EXPECT_EQ(taken("all"), std::vector<bool>(5, true));
}

TEST(Intx, FindsTheGridOfEachTokenInEachRun) {
  at::manual_seed(2);
  TwoLinears net;
  const auto wanted = net.model->run(net.g.inputs()).at(0);
  const auto quantized = quantize_(net.model->copy(), Int8DynamicActivationIntxWeightConfig{at::kChar, PerGroup{4}});
  const QuantRow first = row_named(*quantized, "linear");
  ASSERT_TRUE(first.inputs.at(0) && first.inputs.at(1));
  EXPECT_EQ(first.inputs[0]->dynamic, "choose_qparams_affine");
  EXPECT_EQ(first.inputs[0]->mapping, "asymmetric");
  EXPECT_EQ(first.inputs[0]->block_size, (std::vector<int64_t>{1, 16}));
  EXPECT_EQ(first.inputs[1]->block_size, (std::vector<int64_t>{1, 4}));
  EXPECT_FALSE(first.output);
  const auto outputs = quantized->run(net.g.inputs());
  EXPECT_GT(compute_error(wanted, outputs.at(0)), 30.0);
  // A token has a grid of its own: what stands beside it changes nothing.
  at::Tensor louder = net.g.inputs()[0].clone();
  louder[2] *= 100;
  EXPECT_TRUE(at::equal(quantized->run({louder}).at(0)[0], outputs.at(0)[0]));
  const auto json = to_json(quantization_rows(*quantized));
  EXPECT_EQ(rows_from_json(json).at(1).inputs.at(0), first.inputs[0]);
  EXPECT_FALSE(json.at(1).at("inputs").at(0).contains("scale"));
}

TEST(Intx, TakesEmbeddingsAndConvolutionsWhereTheFilterDoes) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* x = g.conv2d("conv", g.input({1, 8, 5, 5}), 8, 4);
  Node* tokens = g.call("aten.zeros.default", {std::vector<int64_t>{2}}, {{"dtype", Arg(at::kLong)}});
  Node* looked_up = g.call("aten.embedding.default", {g.parameter("table", {6, 16}), tokens});
  const auto model = g.finish({x, looked_up});
  const IntxWeightOnlyConfig config{at::ScalarType::Int4, PerGroup{8}};
  const auto linears = quantize_(model->copy(), config);
  EXPECT_FALSE(row_named(*linears, "conv2d").inputs.at(1));
  const auto all = quantize_(model->copy(), config, [](const Node&) { return true; });
  ASSERT_TRUE(row_named(*all, "conv2d").inputs.at(1));
  EXPECT_EQ(row_named(*all, "conv2d").inputs[1]->block_size, (std::vector<int64_t>{1, 8, 1, 1}));
  EXPECT_EQ(row_named(*all, "conv2d").inputs[1]->scale.size(), 36U);
  EXPECT_EQ(row_named(*all, "embedding").inputs.at(0)->block_size, (std::vector<int64_t>{1, 8}));
  const auto dynamic = quantize_(model->copy(), Int8DynamicActivationIntxWeightConfig{at::kChar, PerGroup{8}},
                                 [](const Node&) { return true; });
  EXPECT_FALSE(row_named(*dynamic, "conv2d").inputs.at(1)) << "torchao's config serves linears alone";
}

TEST(Intx, NeedsNoDataAndRunsFromAPt2) {
  at::manual_seed(4);
  TwoLinears net;
  for (const char* mode : {"weight-int4-channel-asymmetric", "dynamic-int2-group4"}) {
    targets::QuantizerOptions options;
    options.scheme = mode;
    targets::TableQuantizer quantizer(all_targets().find("intx"), options);
    auto prepared = prepare(net.model->copy(), quantizer);
    EXPECT_FALSE(needs_calibration(*prepared));
    const auto quantized = finish(prepared, quantizer);
    const std::string path = std::filesystem::temp_directory_path() / "octet_intx_test.pt2";
    write_pt2(*frozen(*quantized), path);
    const auto read = load_pt2(path);
    EXPECT_EQ(to_json(quantization_rows(*read)), to_json(quantization_rows(*quantized)));
    EXPECT_TRUE(at::equal(read->run(net.g.inputs()).at(0), quantized->run(net.g.inputs()).at(0)));
    std::filesystem::remove(path);
  }
}

// ExecuTorch's XNNPACK delegate computes weights alone wrong, without a word.
TEST(Intx, WarnsOfTheRuntimeThatIsSilentlyWrong) {
  at::manual_seed(6);
  TwoLinears net;
  const targets::Target& target = *all_targets().find("intx");
  const auto alone = target.warnings(*quantize_(net.model->copy(), IntxWeightOnlyConfig{}));
  ASSERT_EQ(alone.size(), 1U);
  EXPECT_NE(text(alone[0]).find("XNNPACK"), std::string::npos);
  const auto dynamic = quantize_(net.model->copy(), Int8DynamicActivationIntxWeightConfig{at::kChar, PerAxis{0}});
  EXPECT_TRUE(target.warnings(*dynamic).empty());
}

TEST(Intx, HasNoFormInTflite) {
  TwoLinears net;
  const auto alone = quantize_(net.model->copy(), IntxWeightOnlyConfig{});
  expect_error([&] { lower(*alone); }, {"linear '", "grids in blocks", ".tflite", ".pt2"});
  const auto dynamic = quantize_(net.model->copy(), Int8DynamicActivationIntxWeightConfig{at::kChar, PerAxis{0}});
  expect_error([&] { lower(*dynamic); }, {"linear '", "a grid that each run finds"});
}

TEST(Intx, RefusesWhatTorchaoRefuses) {
  TwoLinears net;
  const auto quantize = [&](const IntxConfig& config) { quantize_(net.model->copy(), config); };
  expect_error([&] { quantize(IntxWeightOnlyConfig{at::kShort}); }, {"weight_dtype", "int1 to int8", "int16"});
  expect_error([&] { quantize(IntxWeightOnlyConfig{at::kChar, PerAxis{1}}); }, {"PerAxis", "dimension 0"});
  expect_error([&] { quantize(IntxWeightOnlyConfig{at::kChar, PerGroup{0}}); }, {"PerGroup", "1 or more"});
  expect_error(
      [&] {
        quantize(Int8DynamicActivationIntxWeightConfig{at::ScalarType::Int1, PerGroup{8},
                                                       MappingType::kSymmetricNoClippingErr});
      },
      {"no positive level"});
  expect_error([] { all_targets().find("intx")->config("weight-int9-channel", {}); }, {"weight-int9-channel"});
}

}  // namespace
}  // namespace octet::intx
