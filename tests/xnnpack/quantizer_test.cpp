// XNNPACKQuantizer in C++: what its setters select, what wins over what, and where it does otherwise than the reference
// (docs/deviations.md), with the switch back.

#include "octet/targets/xnnpack/xnnpack_quantizer.h"

#include <gtest/gtest.h>

#include "octet/formats/pt2.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sqnr.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "tests/engine/graph_builder.h"
#include "tests/graph/expect_error.h"

namespace octet {
namespace {

using test::GraphBuilder;
using xnnpack::get_symmetric_quantization_config;

const xnnpack::Config kStatic = get_symmetric_quantization_config(/*is_per_channel=*/true);
const xnnpack::Config kDynamic = get_symmetric_quantization_config(true, /*is_qat=*/false, /*is_dynamic=*/true);
const xnnpack::Config kTraining = get_symmetric_quantization_config(true, /*is_qat=*/true);

// "conv2d[q q -] relu[-]>q": q for what lies on a grid, d for a grid of each run, - for float. What is not quantized
// may read a grid that its producer gives, or give one that its reader asks for.
std::string words(const std::vector<QuantRow>& rows) {
  const auto letter = [](const std::optional<QuantRecord>& grid) {
    return !grid ? "-" : grid->dynamic.empty() ? "q" : "d";
  };
  std::string text;
  for (const QuantRow& row : rows) {
    if (row.op == "input") continue;
    const size_t name = row.op.find('.') + 1;
    text += (text.empty() ? "" : " ") + row.op.substr(name, row.op.find('.', name) - name) + '[';
    for (size_t i = 0; i < row.inputs.size(); ++i) text += (i > 0 ? std::string(" ") : "") + letter(row.inputs[i]);
    text += ']';
    if (row.output && row.output->dynamic.empty()) text += ">q";
  }
  return text;
}

struct Outcome {
  std::shared_ptr<GraphModule> program;
  std::vector<QuantRow> rows;
  std::string text() const { return words(rows); }
};

Outcome quantized(const GraphModule& model, const std::vector<at::Tensor>& inputs, XNNPACKQuantizer& quantizer) {
  auto program = calibrate_and_quantize(model.copy(), {inputs}, quantizer);
  return {program, quantization_rows(*program)};
}

std::string with(const GraphModule& model, const std::vector<at::Tensor>& inputs, XNNPACKQuantizer quantizer) {
  return quantized(model, inputs, quantizer).text();
}

XNNPACKQuantizer all(const xnnpack::Config& config, bool reference_quirks = false) {
  XNNPACKQuantizer quantizer;
  quantizer.set_global(config).set_reference_quirks(reference_quirks);
  return quantizer;
}

// What torch.export notes of the modules around a node.
void put_in_module(Node* node, const std::string& name, const std::string& type) {
  node->notes()[kModulePathNote] = name;
  node->notes().set_saved(std::string(kTorchNotePrefix) + "nn_module_stack",
                          "L__self__,,Net;L__self___" + name + "," + name + "," + type);
}

// A convolution, a relu, a convolution in one dimension, a linear.
struct Net {
  GraphBuilder g;
  Node* conv = g.conv2d("stem.conv", g.input({1, 3, 6, 6}), 3, 4);
  Node* relu = g.call("aten.relu.default", {conv});
  Node* flat = g.call("aten.flatten.using_ints", {relu, int64_t{2}});
  Node* conv1d = g.call("aten.conv1d.default", {flat, g.parameter("head.weight", {2, 4, 3})});
  Node* linear = g.linear("fc", conv1d, 34, 5);
  std::shared_ptr<GraphModule> model = g.finish({linear});

  Net() {
    put_in_module(conv, "stem.conv", "torch.nn.modules.conv.Conv2d");
    put_in_module(conv1d, "head", "torch.nn.modules.conv.Conv1d");
    put_in_module(linear, "fc", "torch.nn.modules.linear.Linear");
  }
};

TEST(XnnpackQuantizer, LeavesBiasesInFloatAndFusesRelu) {
  at::manual_seed(1);
  const Net net;
  EXPECT_EQ(with(*net.model, net.g.inputs(), all(kStatic)),
            "conv2d[q q -] relu[-]>q flatten[q]>q conv1d[q q]>q linear[q q -]>q");
  XNNPACKQuantizer quantizer = all(kStatic);
  const Outcome outcome = quantized(*net.model, net.g.inputs(), quantizer);
  EXPECT_EQ(outcome.rows.at(1).inputs.at(1)->scale.size(), 4u) << "one a channel";
  EXPECT_EQ(outcome.rows.at(3).output, outcome.rows.at(2).output) << "flatten passes the relu's grid on";
}

TEST(XnnpackQuantizer, TakesEveryArgumentOfTheConfig) {
  at::manual_seed(2);
  const Net net;
  XNNPACKQuantizer quantizer = all(get_symmetric_quantization_config(false, false, false, -64, 63, -8, 7));
  const Outcome outcome = quantized(*net.model, net.g.inputs(), quantizer);
  const QuantRow& conv = outcome.rows.at(1);
  EXPECT_EQ(conv.inputs.at(0)->quant_min, -64);
  EXPECT_EQ(conv.inputs.at(0)->quant_max, 63);
  ASSERT_EQ(conv.inputs.at(1)->scale.size(), 1u);
  EXPECT_FLOAT_EQ(conv.inputs.at(1)->scale[0], net.model->attr("stem.conv.weight").abs().max().item<double>() / 7.5);
  test::expect_error([] { get_symmetric_quantization_config(false, false, false, 5, -5); }, {"quant_min"});
}

// ---- X1 -------------------------------------------------------------------------------------------------------------

TEST(XnnpackQuantizer, QuantizesAConvolutionWithReluDynamically) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* conv = g.conv2d("c", g.input({1, 3, 6, 6}), 3, 4);
  const auto model = g.finish({g.call("aten.relu.default", {conv})});
  const at::Tensor wanted = model->run(g.inputs()).at(0);
  XNNPACKQuantizer quantizer = all(kDynamic);
  const Outcome outcome = quantized(*model, g.inputs(), quantizer);
  EXPECT_EQ(outcome.text(), "conv2d[d q -] relu[-]");
  EXPECT_EQ(outcome.rows.at(1).inputs.at(0)->dynamic, "choose_qparams.tensor");
  EXPECT_EQ(outcome.rows.at(1).inputs.at(0)->eps, 0x1p-12);
  EXPECT_GT(compute_error(wanted, outcome.program->run(g.inputs()).at(0)), 30.0);
  EXPECT_EQ(with(*model, g.inputs(), all(kDynamic, true)), "conv2d[- - -] relu[-]");
}

TEST(XnnpackQuantizer, LeavesOutWhatTheRuntimeWouldComputeWrong) {
  at::manual_seed(4);
  GraphBuilder g;
  Node* x = g.input({1, 3, 6, 6});
  Node* wide = g.conv2d("wide", x, 3, 4);
  Node* narrow = g.call("aten.conv2d.default", {x, g.parameter("narrow.weight", {4, 3, 1, 1})});
  const auto model = g.finish({g.call("aten.relu.default", {wide}), g.call("aten.relu.default", {narrow})});
  EXPECT_EQ(with(*model, g.inputs(), all(kDynamic)), "conv2d[- - -] conv2d[- -] relu[-] relu[-]");
}

// ---- X2, X3 ---------------------------------------------------------------------------------------------------------

TEST(XnnpackQuantizer, TrainsTransposedConvolutionsPerOutputChannel) {
  at::manual_seed(5);
  GraphBuilder g;
  Node* up = g.call("aten.conv_transpose2d.input", {g.input({1, 3, 4, 4}), g.parameter("up.weight", {3, 5, 2, 2})});
  const auto model = g.finish({up});
  const auto weight_of = [&](bool quirks) {
    XNNPACKQuantizer quantizer = all(kTraining, quirks);
    return *quantized(*model, g.inputs(), quantizer).rows.at(1).inputs.at(1);
  };
  EXPECT_EQ(weight_of(false).axis, 1);
  EXPECT_EQ(weight_of(false).scale.size(), 5u);
  EXPECT_EQ(weight_of(true).axis, 0);
  EXPECT_EQ(weight_of(true).scale.size(), 3u);
}

TEST(XnnpackQuantizer, TrainsABatchNormBehindLinearAsOne) {
  at::manual_seed(6);
  GraphBuilder g;
  Node* linear = g.linear("fc", g.input({4, 6}), 6, 5);
  const auto model = g.finish({g.call("aten.relu.default", {g.batch_norm("n", linear, 5)})});
  EXPECT_EQ(with(*model, g.inputs(), all(kTraining)), "linear[q q -] relu[-]>q");
  EXPECT_EQ(with(*model, g.inputs(), all(kTraining, true)), "linear[q q -]>q batch_norm[q - - - -] relu[-]");
}

// ---- X4, X5: what setters select ------------------------------------------------------------------------------------

TEST(XnnpackQuantizer, QuantizesConvolutionsByTypeAndNameOfTheirModule) {
  at::manual_seed(7);
  const Net net;
  const auto by = [&](auto set, bool quirks) {
    XNNPACKQuantizer quantizer;
    set(quantizer);
    return with(*net.model, net.g.inputs(), quantizer.set_reference_quirks(quirks));
  };
  const auto type = [](XNNPACKQuantizer& quantizer) {
    quantizer.set_module_type("torch.nn.modules.conv.Conv2d", kStatic);
  };
  EXPECT_EQ(by(type, false), "conv2d[q q -] relu[-]>q flatten[q]>q conv1d[q -] linear[- - -]");
  EXPECT_EQ(by(type, true), "conv2d[- - -] relu[-] flatten[-] conv1d[- -] linear[- - -]");
  const auto name = [](XNNPACKQuantizer& quantizer) { quantizer.set_module_name("stem", kStatic); };
  EXPECT_EQ(by(name, false), "conv2d[q q -] relu[-]>q flatten[q]>q conv1d[q -] linear[- - -]");
  const auto linear = [](XNNPACKQuantizer& quantizer) { quantizer.set_module_type("Linear", kStatic); };
  EXPECT_EQ(by(linear, true), "conv2d[- - -] relu[-] flatten[-] conv1d[- -]>q linear[q q -]>q");
}

TEST(XnnpackQuantizer, ChoosesOperatorsByTheirType) {
  at::manual_seed(8);
  const Net net;
  const auto by = [&](const std::string& op, bool quirks) {
    XNNPACKQuantizer quantizer;
    return with(*net.model, net.g.inputs(), quantizer.set_operator_type(op, kStatic).set_reference_quirks(quirks));
  };
  const std::string conv2d_alone = "conv2d[q q -] relu[-]>q flatten[q]>q conv1d[q -] linear[- - -]";
  EXPECT_EQ(by("aten.conv2d.default", false), conv2d_alone);
  EXPECT_EQ(by("aten.conv2d", false), conv2d_alone);
  EXPECT_EQ(by("aten.conv2d.default", true), "conv2d[q q -] relu[-]>q flatten[q]>q conv1d[q q]>q linear[q - -]");
  EXPECT_EQ(by("aten.conv2d", true), "conv2d[- - -] relu[-] flatten[-] conv1d[- -] linear[- - -]");
}

TEST(XnnpackQuantizer, SaysWhereASettingChoosesNothing) {
  const Net net;
  XNNPACKQuantizer quantizer;
  quantizer.set_operator_type("aten.relu.default", kStatic).set_module_type("Conv3d", kStatic);
  testing::internal::CaptureStderr();
  quantizer.annotate(*net.model->copy());
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("set_operator_type('aten.relu.default') quantizes nothing"), std::string::npos) << said;
  EXPECT_NE(said.find("set_module_type('Conv3d') quantizes nothing"), std::string::npos) << said;
}

TEST(XnnpackQuantizer, LeavesInFloatWhatIsSetToNothing) {
  at::manual_seed(9);
  const Net net;
  XNNPACKQuantizer quantizer = all(kStatic);
  quantizer.set_module_name("stem.conv", std::nullopt).set_operator_type("aten.linear", std::nullopt);
  EXPECT_EQ(with(*net.model, net.g.inputs(), quantizer),
            "conv2d[- - -] relu[-] flatten[-]>q conv1d[q q]>q linear[q - -]");
}

TEST(XnnpackQuantizer, LetsNamesWinOverTypesAndTypesOverOperators) {
  at::manual_seed(10);
  const Net net;
  XNNPACKQuantizer quantizer = all(kStatic);
  quantizer.set_operator_type("aten.linear", kDynamic).set_module_type("Conv1d", std::nullopt);
  quantizer.set_module_name("head", kStatic);
  EXPECT_EQ(with(*net.model, net.g.inputs(), quantizer),
            "conv2d[q q -] relu[-]>q flatten[q]>q conv1d[q q]>q linear[d q -]");
  quantizer = all(kStatic);
  quantizer.set_filter_function([](const Node& node) { return !node.is_call("aten.conv1d.default"); });
  EXPECT_EQ(with(*net.model, net.g.inputs(), quantizer),
            "conv2d[q q -] relu[-]>q flatten[q]>q conv1d[q -]>q linear[q q -]>q");
}

TEST(XnnpackQuantizer, IsForOneMode) {
  XNNPACKQuantizer quantizer = all(kStatic);
  quantizer.set_operator_type("aten.linear", kTraining);
  test::expect_error([&] { quantizer.mode(); }, {"XNNPACKQuantizer", "post-training", "quantization-aware"});
  XNNPACKQuantizer training = all(get_symmetric_quantization_config(true, true, true));
  EXPECT_EQ(training.mode(), QuantizationMode::kQat);
}

TEST(XnnpackQuantizer, TrainsOnDynamicGrids) {
  at::manual_seed(11);
  GraphBuilder g;
  const auto model = g.finish({g.linear("fc", g.input({4, 6}), 6, 5)});
  const at::Tensor wanted = model->run(g.inputs()).at(0);
  XNNPACKQuantizer quantizer = all(get_symmetric_quantization_config(true, true, true));
  const Outcome outcome = quantized(*model, g.inputs(), quantizer);
  EXPECT_EQ(outcome.text(), "linear[d q -]");
  EXPECT_EQ(outcome.rows.at(1).inputs.at(0)->eps, 0x1p-12);
  EXPECT_GT(compute_error(wanted, outcome.program->run(g.inputs()).at(0)), 30.0);
}

TEST(XnnpackQuantizer, KeepsWhatNoHistogramHoldsInFloat) {
  at::manual_seed(12);
  GraphBuilder g;
  Node* x = g.input({2, 4});
  Node* large = g.call("aten.add.Tensor", {x, g.tensor("far", at::scalar_tensor(1e16))});
  Node* scaled = g.call("aten.mul.Tensor", {x, Arg(c10::IValue(2.5))});
  const auto model = g.finish({large, scaled});
  EXPECT_EQ(with(*model, g.inputs(), all(kStatic)), "add[- -] mul[q q]>q") << "the number became a constant";
}

}  // namespace
}  // namespace octet
