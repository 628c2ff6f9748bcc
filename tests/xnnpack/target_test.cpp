// The target `xnnpack`: its modes by name, what it says of a model, and of where the runtime computes wrong.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "octet/formats/pt2.h"
#include "octet/formats/pt2_writer.h"
#include "octet/quantize/rows.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/config_file.h"
#include "octet/targets/engine/operator_table.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/engine/placement/warnings.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/targets.h"
#include "octet/targets/xnnpack/warnings.h"
#include "tests/engine/graph_builder.h"
#include "tests/graph/expect_error.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;

TableQuantizer quantizer_of(const std::string& mode, std::vector<Override> overrides = {}) {
  return TableQuantizer(all_targets().find("xnnpack"), {.scheme = mode, .overrides = std::move(overrides)});
}

std::shared_ptr<GraphModule> quantized(const GraphModule& model, const std::vector<at::Tensor>& inputs,
                                       const std::string& mode) {
  TableQuantizer quantizer = quantizer_of(mode);
  return calibrate_and_quantize(model.copy(), {inputs}, quantizer);
}

TEST(XnnpackTarget, HasModesThatSayHowTheyAreReached) {
  EXPECT_EQ(quantizer_of("").options().scheme, "static-per-channel");
  EXPECT_EQ(quantizer_of("qat-per-channel").mode(), QuantizationMode::kQat);
  const TableQuantizer training(all_targets().find("xnnpack"), {.mode = QuantizationMode::kQat});
  EXPECT_EQ(training.options().scheme, "qat-per-channel") << "the first that serves";
  Override choice;
  choice.op = "linear";
  choice.scheme = "qat-per-channel";
  test::expect_error([&] { quantizer_of("static-per-channel", {choice}); },
                     {"overrides[0].scheme", "'qat-per-channel'", "quantization-aware", "post-training"});
  test::expect_error([] { quantizer_of("static"); }, {"scheme", "static-per-channel", "'static'"});

  const QuantizerConfig config =
      parse_config(R"({"version": 1, "target": "xnnpack", "scheme": "qat-per-channel"})", "c.json", all_targets());
  EXPECT_EQ(config.options.mode, QuantizationMode::kQat);
  EXPECT_EQ(parse_config(to_json(config).dump(), "c.json", all_targets()), config);
}

TEST(XnnpackTarget, QuantizesPartOfAModelInAnotherMode) {
  at::manual_seed(1);
  GraphBuilder g;
  Node* first = g.linear("first", g.input({2, 6}), 6, 4);
  const auto model = g.finish({g.linear("second", first, 4, 3)});
  Override choice;
  choice.module = "second";
  choice.scheme = "dynamic-per-channel";
  TableQuantizer quantizer = quantizer_of("static-per-channel", {choice});
  const auto rows = quantization_rows(*calibrate_and_quantize(model->copy(), {g.inputs()}, quantizer));
  EXPECT_TRUE(rows.at(1).output && rows.at(1).output->dynamic.empty());
  EXPECT_EQ(rows.at(2).inputs.at(0)->dynamic, "choose_qparams.tensor");
  EXPECT_FALSE(rows.at(2).output);
  EXPECT_EQ(rows_from_json(to_json(rows)).at(2).inputs.at(0), rows.at(2).inputs.at(0));
}

TEST(XnnpackTarget, WritesDynamicProgramsThatGiveTheSameWhenReadAgain) {
  at::manual_seed(2);
  GraphBuilder g;
  Node* conv = g.conv2d("c", g.input({1, 3, 6, 6}), 3, 4);
  const auto model = g.finish({g.call("aten.sigmoid.default", {conv})});
  const auto program = quantized(*model, g.inputs(), "dynamic-per-channel");
  const std::string path = (std::filesystem::temp_directory_path() / "octet_xnnpack_dynamic.pt2").string();
  write_pt2(*program, path);
  const auto read = load_pt2(path);
  std::filesystem::remove(path);
  EXPECT_TRUE(at::equal(read->run(g.inputs()).at(0), program->run(g.inputs()).at(0)));
  EXPECT_EQ(rows_text(quantization_rows(*read)), rows_text(quantization_rows(*program)));
}

TEST(XnnpackTarget, SaysWhatIsQuantizedAndWhyTheRestIsNot) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* up = g.call("aten.conv_transpose2d.input",
                    {g.input({1, 4, 4, 4}), g.parameter("up.weight", {4, 3, 2, 2}), Arg(), std::vector<int64_t>{1, 1},
                     std::vector<int64_t>{0, 0}, std::vector<int64_t>{0, 0}, int64_t{2}});
  Node* gelu = g.call("aten.gelu.default", {up});
  const auto model = g.finish({g.conv2d("c", gelu, 6, 2), g.call("aten.relu.default", {gelu})});
  TableQuantizer quantizer = quantizer_of("static-per-channel");
  const Check check = check_model(*model, quantizer);
  const auto& rows = check.placement.operators;
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_NE(rows[0].reason.find("groups of a transposed convolution: expected 1, got 2"), std::string::npos);
  EXPECT_NE(rows[1].reason.find("no pattern"), std::string::npos);
  EXPECT_TRUE(rows[2].partition) << "the convolution";
  EXPECT_NE(rows[3].reason.find("passes on the grid of 'gelu', which has none"), std::string::npos) << rows[3].reason;
  const Check again = check_model(*quantized(*model, g.inputs(), "static-per-channel"), quantizer);
  EXPECT_EQ(again.placement.on_cpu(), 3);
  EXPECT_NE(operator_table(quantizer.target()).find("| conv_relu | `aten.conv1d.default`"), std::string::npos);
}

TEST(XnnpackTarget, WarnsWhereNothingIsQuantized) {
  GraphBuilder g;
  const auto model = g.finish({g.call("aten.gelu.default", {g.input({2, 3})})});
  TableQuantizer quantizer = quantizer_of("static-per-channel");
  testing::internal::CaptureStderr();
  quantizer.annotate(*model);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("no operator of this model fits what xnnpack quantizes in mode static-per-channel"),
            std::string::npos)
      << said;
}

// ---- where the runtime is silently wrong ----------------------------------------------------------------------------

TEST(XnnpackTarget, WarnsOfKernelSizesThatShareADynamicGrid) {
  at::manual_seed(4);
  const auto warnings = [](int64_t second_kernel) {
    GraphBuilder g;
    Node* x = g.input({1, 3, 6, 6});
    Node* a = g.call("aten.conv2d.default", {x, g.parameter("a.weight", {4, 3, 3, 3})});
    Node* b = g.call("aten.conv2d.default", {x, g.parameter("b.weight", {4, 3, second_kernel, second_kernel})});
    const auto model = g.finish({a, b});
    return find_warnings(*quantized(*model, g.inputs(), "dynamic-per-channel"), *all_targets().find("xnnpack"));
  };
  ASSERT_EQ(warnings(1).size(), 1u);
  EXPECT_NE(warnings(1).front().text.find("another kernel size"), std::string::npos);
  EXPECT_TRUE(warnings(3).empty());
}

// A convolution, what stands between, and a convolution with or without a relu.
struct Between {
  std::string name;
  std::function<Node*(GraphBuilder&, Node*)> build;
  bool turned = false;
};

void PrintTo(const Between& between, std::ostream* out) { *out << between.name; }

class XnnpackMemoryOrder : public testing::TestWithParam<Between> {};

TEST_P(XnnpackMemoryOrder, IsWarnedOfInFrontOfADynamicConvolutionAndKeepsOneWithAReluInFloat) {
  at::manual_seed(6);
  const auto made = [&](bool relu) {
    GraphBuilder g;
    Node* between = GetParam().build(g, g.conv2d("a", g.input({1, 3, 6, 6}), 3, 4));
    Node* last = g.conv2d("b", between, 4, 2);
    if (relu) last = g.call("aten.relu.default", {last});
    const auto model = g.finish({last});
    return quantized(*model, g.inputs(), "dynamic-per-channel");
  };
  const auto warnings = [](const GraphModule& program) {
    return find_warnings(program, *all_targets().find("xnnpack"));
  };
  const auto found = warnings(*made(false));
  ASSERT_EQ(found.size(), GetParam().turned ? 1u : 0u);
  if (GetParam().turned) {
    EXPECT_NE(found.front().text.find("channels do not lie last"), std::string::npos);
  }
  const auto with_relu = made(true);
  EXPECT_TRUE(warnings(*with_relu).empty());
  const auto rows = quantization_rows(*with_relu);
  EXPECT_EQ(rows.at(rows.size() - 2).inputs.at(0).has_value(), !GetParam().turned);
}

std::vector<Between> between_convolutions() {
  const auto call = [](const std::string& op, std::vector<Arg> rest = {}) {
    return [=](GraphBuilder& g, Node* x) {
      std::vector<Arg> args = {x};
      args.insert(args.end(), rest.begin(), rest.end());
      return g.call("aten." + op, std::move(args));
    };
  };
  const auto sum_with = [](std::vector<int64_t> sizes) {
    return [=](GraphBuilder& g, Node* x) { return g.call("aten.add.Tensor", {x, g.tensor("c", at::randn(sizes))}); };
  };
  return {
      {"nothing", [](GraphBuilder&, Node* x) { return x; }, false},
      {"gelu", call("gelu.default"), false},
      {"sum_with_itself",
       [](GraphBuilder& g, Node* x) {
         return g.call("aten.add.Tensor", {x, x});
       },
       false},
      {"sum_with_an_image", sum_with({1, 4, 6, 6}), false},
      {"sum_with_a_row_of_channels", sum_with({4, 1, 1}), true},
      {"number", call("add.Tensor", {1.0}), true},
      {"quotient", call("div.Tensor", {6.0}), true},
      {"hardsigmoid", call("hardsigmoid.default"), true},
      {"view", call("view.default", {std::vector<int64_t>{1, 4, 12, 3}}), true},
      {"function_behind_a_number",
       [=](GraphBuilder& g, Node* x) {
         return g.call("aten.sigmoid.default", {g.call("aten.div.Tensor", {x, 6.0})});
       },
       true},
      {"pool_behind_a_number",
       [=](GraphBuilder& g, Node* x) {
         Node* sum = g.call("aten.add.Tensor", {x, 1.0});
         return g.call("aten.max_pool2d.default", {sum, std::vector<int64_t>{2, 2}});
       },
       false},
      {"layer_norm", call("layer_norm.default", {std::vector<int64_t>{6}}), false},
  };
}

INSTANTIATE_TEST_SUITE_P(All, XnnpackMemoryOrder, testing::ValuesIn(between_convolutions()),
                         [](const auto& test) { return test.param.name; });

TEST(XnnpackTarget, WarnsOfASoftmaxOverTheWidthBehindAConvolution) {
  at::manual_seed(5);
  const auto warnings = [](int64_t dim, bool behind) {
    GraphBuilder g;
    Node* x = g.input({1, 3, 6, 6});
    if (behind) x = g.conv2d("c", x, 3, 4);
    const auto model = g.finish({g.call("aten.softmax.int", {x, dim}), g.conv2d("d", x, behind ? 4 : 3, 2)});
    return find_warnings(*quantized(*model, g.inputs(), "static-per-channel"), *all_targets().find("xnnpack"));
  };
  ASSERT_EQ(warnings(3, true).size(), 1u);
  EXPECT_NE(warnings(-1, true).at(0).text.find("softmax over the width"), std::string::npos);
  EXPECT_TRUE(warnings(1, true).empty());
  EXPECT_TRUE(warnings(3, false).empty());
}

}  // namespace
}  // namespace octet::targets
