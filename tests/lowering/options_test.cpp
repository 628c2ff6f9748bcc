// What can be chosen of a lowering, what a program keeps, and what is refused.

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "octet/formats/container.h"
#include "octet/formats/pt2_writer.h"
#include "octet/graph/record.h"
#include "octet/integer/executor.h"
#include "octet/lowering/layout.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/verify.h"
#include "octet/models/registry.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sqnr.h"
#include "octet/support/byte_source.h"
#include "tests/engine/graph_builder.h"
#include "tests/lowering/golden_case.h"
#include "tests/lowering/program_diff.h"

namespace octet {
namespace {

using test::GoldenCase;
using test::GraphBuilder;
using tflite::OpCode;

int64_t count(const tflite::Model& model, OpCode code) {
  return std::count_if(model.operators.begin(), model.operators.end(), [&](const auto& op) { return op.code == code; });
}

std::shared_ptr<GraphModule> quantized(const std::shared_ptr<GraphModule>& model, const std::vector<at::Tensor>& inputs,
                                       bool is_qat = false) {
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), is_qat);
  auto result = calibrate_and_quantize(model, {inputs}, quantizer);
  propagate_shapes(*result, inputs);
  return result;
}

// Depthwise separable blocks over spectrograms, as keyword spotting has them.
std::shared_ptr<GraphModule> ds_cnn(GraphBuilder& g) {
  Node* x = g.input({1, 1, 49, 10});
  x = g.call(
      "aten.relu.default",
      {g.call("aten.conv2d.default", {x, g.parameter("first.weight", {16, 1, 10, 4}), g.parameter("first.bias", {16}),
                                      std::vector<int64_t>{2, 2}, std::vector<int64_t>{5, 1}})});
  for (const std::string name : {"a", "b"}) {
    x = g.call("aten.relu.default", {g.conv2d(name + ".depthwise", x, 16, 16, 16)});
    x = g.call("aten.relu.default",
               {g.call("aten.conv2d.default", {x, g.parameter(name + ".pointwise.weight", {16, 16, 1, 1}),
                                               g.parameter(name + ".pointwise.bias", {16})})});
  }
  x = g.call("aten.adaptive_avg_pool2d.default", {x, std::vector<int64_t>{1, 1}});
  x = g.call("aten.flatten.using_ints", {x, int64_t{1}});
  return g.finish({g.linear("fc", x, 16, 12)});
}

TEST(Lowering, NetworksTransposeAtTheirBordersAlone) {
  at::manual_seed(1);
  GraphBuilder keywords;
  const auto keyword_model = ds_cnn(keywords);
  auto resnet = make_model("resnet8");
  resnet->eval();
  const std::vector<at::Tensor> image = {at::randn({1, 3, 32, 32})};
  const std::vector<std::pair<std::string, std::shared_ptr<GraphModule>>> networks = {
      {"MobileNetV2", GoldenCase("net_mobilenet_v2_w025").quantize()},
      {"UNet", GoldenCase("net_unet").quantize()},
      {"ResNet8", quantized(export_module(*resnet, image), image)},
      {"DS-CNN", quantized(keyword_model, keywords.inputs())},
  };
  for (const auto& [name, network] : networks) {
    const bool gives_image = network->graph().output()->arg(size_t{0}).list().front().node()->sizes().size() == 4;
    const tflite::Model program = lower(*network);
    // An image of one channel lies the same way either way: reshaped, not transposed.
    const bool one_channel = network->graph().placeholders().at(0)->sizes()[1] == 1;
    EXPECT_EQ(count(program, OpCode::kTranspose), gives_image   ? 2
                                                  : one_channel ? 0
                                                                : 1)
        << name << ": " << test::operators_of(program);
    const tflite::Model nhwc = lower(*network, {.nhwc_io = true});
    EXPECT_EQ(count(nhwc, OpCode::kTranspose), 0) << name << ": " << test::operators_of(nhwc);
    // The same bits, turned.
    const auto& sizes = network->graph().placeholders().at(0)->sizes();
    const at::Tensor levels = at::randint(-128, 128, sizes, at::kChar);
    const at::Tensor given = integer::Executor(program).run({levels}).at(0);
    at::Tensor turned = integer::Executor(nhwc).run({levels.permute({0, 2, 3, 1}).contiguous()}).at(0);
    if (gives_image) turned = turned.permute({0, 3, 1, 2});
    EXPECT_TRUE(at::equal(given, turned)) << name;
  }
}

TEST(Lowering, PlainAndFusedGiveTheSameBits) {
  for (const char* name : {"net_mobilenet_v2_w025", "net_unet", "net_cifarnet", "conv_padding_same", "op_max_pool2d",
                           "conv_depthwise", "op_clamp_0_6", "limit_convT_padding", "linear_3d_relu", "op_mm"}) {
    const auto network = GoldenCase(name).quantize();
    const tflite::Model fused = lower(*network);
    const tflite::Model plain = lower(*network, {.form = LoweringForm::kPlain});
    EXPECT_LE(fused.operators.size(), plain.operators.size()) << name;
    std::vector<at::Tensor> levels;
    for (const Node* input : network->graph().placeholders()) {
      levels.push_back(at::randint(-128, 128, input->sizes(), at::kChar));
    }
    EXPECT_TRUE(at::equal(integer::Executor(fused).run(levels).at(0), integer::Executor(plain).run(levels).at(0)))
        << name;
  }
}

TEST(Lowering, FloatBordersQuantizeInside) {
  const GoldenCase golden("net_unet");
  const auto network = golden.quantize();
  const tflite::Model program = lower(*network, {.float_io = true});
  EXPECT_EQ(program.tensors[static_cast<size_t>(program.inputs[0])].type, tflite::Type::kFloat32);
  EXPECT_EQ(program.tensors[static_cast<size_t>(program.outputs[0])].type, tflite::Type::kFloat32);
  EXPECT_EQ(count(program, OpCode::kQuantize), 1);
  EXPECT_EQ(count(program, OpCode::kDequantize), 1);
  const auto inputs = golden.arrays("test_");
  EXPECT_TRUE(at::equal(integer::Executor(program).run(inputs).at(0),
                        integer::Executor(lower(*network)).run_dequantized(inputs).at(0)));
}

// x [2, 4] on a grid, times weights with a scale for each of 3 rows, a float bias.
std::shared_ptr<GraphModule> per_channel_linear(GraphBuilder& g) {
  Node* x = g.input({2, 4});
  const auto grid = [](double scale, int64_t low, at::ScalarType type) {
    return std::vector<Arg>{scale, int64_t{0}, low, int64_t{127}, static_cast<int64_t>(type)};
  };
  const auto qdq = [&](Node* value, double scale) {
    std::vector<Arg> args = {value};
    for (Arg& each : grid(scale, -128, at::kChar)) args.push_back(each);
    Node* levels = g.call("quantized_decomposed.quantize_per_tensor.default", args);
    args[0] = levels;
    return g.call("quantized_decomposed.dequantize_per_tensor.default", args);
  };
  Node* weight =
      g.call("quantized_decomposed.dequantize_per_channel.default",
             {g.tensor("w", at::randint(-127, 128, {3, 4}, at::kChar)),
              g.tensor("scales", at::tensor({0.01F, 0.002F, 0.005F})), g.tensor("zeros", at::zeros({3}, at::kLong)),
              int64_t{0}, int64_t{-127}, int64_t{127}, static_cast<int64_t>(at::kChar)});
  Node* bias = g.tensor("bias", at::tensor({0.5F, -0.25F, 0.1F}));
  return g.finish({qdq(g.call("aten.linear.default", {qdq(x, 0.02), weight, bias}), 0.02)});
}

TEST(Lowering, OneWeightScaleWhereAskedFor) {
  at::manual_seed(2);
  GraphBuilder g;
  const auto model = per_channel_linear(g);
  const auto weight_scales = [](const tflite::Model& program) {
    return program.tensors[static_cast<size_t>(program.operators.front().inputs[1])].quantization.scale;
  };
  const tflite::Model by_channel = lower(*model);
  const tflite::Model by_tensor = lower(*model, {.per_tensor_fc = true});
  EXPECT_EQ(weight_scales(by_channel), (std::vector<float>{0.01F, 0.002F, 0.005F}));
  EXPECT_EQ(weight_scales(by_tensor), (std::vector<float>{0.01F}));
  const at::Tensor wanted = model->run(g.inputs()).at(0);
  EXPECT_LE((integer::Executor(by_channel).run_dequantized(g.inputs()).at(0) - wanted).abs().max().item<float>(),
            0.021F);
  EXPECT_GE(compute_error(wanted, integer::Executor(by_tensor).run_dequantized(g.inputs()).at(0)), 20.0);
}

TEST(Lowering, BatchIsChosen) {
  const GoldenCase golden("linear_3d_relu");  // exported with two samples
  const auto network = golden.quantize();
  const tflite::Model one = lower(*network, {.batch = 1});
  EXPECT_EQ(one.tensors[static_cast<size_t>(one.inputs[0])].shape[0], 1);
  const auto inputs = golden.arrays("test_");
  EXPECT_TRUE(
      at::equal(integer::Executor(one).run(inputs).at(0), integer::Executor(lower(*network)).run(inputs).at(0)));
}

TEST(Lowering, TakesWhatTorchaoConverted) {
  for (const char* name : {"bias_pass_conv_bn", "bias_pass_conv_nobias", "bias_pass_conv_transpose_bn"}) {
    const std::string folder = test::data(octet::str("golden/bias_pass/", name, "/"));
    const auto model = load_pt2(folder + "before.pt2");  // biases in float, or none
    const at::Tensor input = read_npy(folder + "test_0.npy");
    const Verification found = verify(*model, lower(*model), {input});
    for (const ValueDeviation& layer : found.layers) EXPECT_LE(layer.alone.most_steps, 1.01) << name << layer.name;
    EXPECT_GE(found.outputs.at(0).whole.sqnr_db, 45.0) << name;
  }
}

TEST(Lowering, KeepsEverythingThroughAFile) {
  for (const std::string& name : GoldenCase::all()) {
    if (name == "limit_conv3d") continue;
    const tflite::Model program = lower(*GoldenCase(name).quantize());
    const std::vector<uint8_t> bytes = tflite::serialize(program);
    const auto source = memory_source(name, std::string(bytes.begin(), bytes.end()));
    EXPECT_TRUE(tflite::read(source) == program) << name;
  }
}

TEST(Lowering, FilesOfOneModelLowerAlike) {
  const GoldenCase golden("net_cifarnet");
  const auto network = golden.quantize();
  const test::TemporaryFolder folder;
  save_octet(*network, folder.file("q.octet"));
  write_pt2(*network, folder.file("q.pt2"));
  write_pt2(*network, folder.file("legacy.pt2"), {Pt2Layout::kLegacy});
  const tflite::Model program = lower(*network);
  EXPECT_EQ(test::difference(lower(*load_octet(folder.file("q.octet"))), program, {}), "");
  EXPECT_EQ(test::difference(lower(*load_pt2(folder.file("q.pt2"))), program, {}), "");
  EXPECT_EQ(test::difference(lower(*load_pt2(folder.file("legacy.pt2"))), program, {}), "");
}

TEST(Lowering, NamesWhatItCannotWrite) {
  GraphBuilder g;
  const auto model = g.finish({g.call("aten.lgamma.default", {g.input({1, 4})})});
  try {
    lower(*model);
    FAIL() << "lgamma has no TFLite operator";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("[lgamma 'lgamma'] TFLite has no operator for aten.lgamma.default"),
              std::string::npos)
        << error.what();
  }
  GraphBuilder known;
  try {
    Node* weight = known.parameter("w", {3, 2, 1, 1, 1});
    lower(*known.finish({known.call("aten.conv3d.default", {known.input({1, 2, 3, 4, 4}), weight})}));
    FAIL() << "octet does not write it";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("aten.conv3d.default is not written by octet, though TFLite has CONV_3D"),
              std::string::npos)
        << error.what();
  }
  GraphBuilder other;
  const auto prepared = other.finish({other.conv2d("c", other.input({1, 3, 8, 8}), 3, 4)});
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  try {
    lower(*prepare_pt2e(prepared, quantizer));
    FAIL() << "a prepared model is no program yet";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("convert"), std::string::npos) << error.what();
  }
}

TEST(Verify, FindsTheLayerThatWasChanged) {
  const GoldenCase golden("net_cifarnet");
  const auto network = golden.quantize();
  tflite::Model program = lower(*network);
  const auto inputs = golden.arrays("test_");
  for (const ValueDeviation& layer : verify(*network, program, inputs).layers) EXPECT_LE(layer.alone.most_steps, 1.01);
  size_t changed = 0;
  for (size_t i = 0, convolutions = 0; i < program.operators.size(); ++i) {
    if (program.operators[i].code == OpCode::kConv2d && ++convolutions == 2) changed = i;
  }
  const tflite::Operator& op = program.operators[changed];
  auto& weight = program.tensors[static_cast<size_t>(op.inputs[1])].data;
  for (size_t i = 0; i < weight.size(); i += 2) weight[i] = 0;
  const std::string name = program.tensors[static_cast<size_t>(op.outputs[0])].name;
  const Verification found = verify(*network, program, inputs);
  for (const ValueDeviation& layer : found.layers) {
    if (layer.name == name) {
      EXPECT_GT(layer.alone.most_steps, 2.0);
    } else {
      EXPECT_LE(layer.alone.most_steps, 1.01) << layer.name;
    }
  }
  EXPECT_GT(found.outputs.at(0).whole.most_steps, 0.0);
}

}  // namespace
}  // namespace octet
