#include "octet/formats/onnx.h"

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

#include "../graph/expect_error.h"
#include "../support/test_data.h"
#include "octet/formats/model_file.h"
#include "octet/formats/safetensors.h"
#include "octet/lowering/batch.h"
#include "onnx_writer.h"

namespace octet {
namespace {

using test::data;
using test::expect_error;
using test::onnx::attribute;
using test::onnx::node;
using test::onnx::one_step;
using test::onnx::tensor;
using test::onnx::value;

std::shared_ptr<GraphModule> load_bytes(const std::string& bytes, const OnnxOptions& options = {}) {
  return load_onnx(memory_source("net.onnx", bytes), options);
}

/// A model of a packed file, what it is given, and what onnxruntime made of it.
struct Case {
  std::string name;
  std::string bytes;
  std::vector<at::Tensor> inputs;
  std::vector<at::Tensor> outputs;
};

std::vector<Case> cases_of(const std::string& file) {
  std::map<std::string, Case> cases;
  std::map<std::string, at::Tensor> sorted;
  for (const auto& [key, held] : read_safetensors(data(file))) sorted[key] = held;
  for (const auto& [key, held] : sorted) {
    Case& each = cases[key.substr(0, key.find('.'))];
    each.name = key.substr(0, key.find('.'));
    if (key.find(".model") != std::string::npos) {
      each.bytes.assign(static_cast<const char*>(held.const_data_ptr()), held.nbytes());
    } else {
      (key.find(".in.") != std::string::npos ? each.inputs : each.outputs).push_back(held);
    }
  }
  std::vector<Case> list;
  for (auto& [name, each] : cases) list.push_back(std::move(each));
  return list;
}

Case case_of(const std::string& name) {
  for (Case& each : cases_of("onnx/networks.safetensors")) {
    if (each.name == name) return each;
  }
  throw std::runtime_error("no case " + name);
}

void expect_same(const at::Tensor& got, const at::Tensor& wanted, const std::string& name, double tolerance) {
  ASSERT_EQ(got.sizes(), wanted.sizes()) << name;
  ASSERT_EQ(got.scalar_type(), wanted.scalar_type()) << name;
  EXPECT_TRUE(at::allclose(got.to(at::kDouble), wanted.to(at::kDouble), tolerance, tolerance))
      << name << ": off by " << (got.to(at::kDouble) - wanted.to(at::kDouble)).abs().max().item<double>();
}

std::vector<std::string> steps(const GraphModule& module) {
  std::vector<std::string> found;
  for (const Node* each : module.graph().nodes()) {
    if (each->is_call()) found.emplace_back(each->op().short_name());
  }
  return found;
}

size_t count(const GraphModule& module, const std::string& op) {
  const std::vector<std::string> all = steps(module);
  return static_cast<size_t>(std::count(all.begin(), all.end(), op));
}

TEST(Onnx, EveryOperatorComputesWhatOnnxruntimeDoes) {
  const std::vector<Case> cases = cases_of("onnx/operators.safetensors");
  EXPECT_GT(cases.size(), 150U);
  for (const Case& each : cases) {
    try {
      const std::vector<at::Tensor> got = load_bytes(each.bytes)->run(each.inputs);
      ASSERT_EQ(got.size(), each.outputs.size()) << each.name;
      for (size_t i = 0; i < got.size(); ++i) expect_same(got[i], each.outputs[i], each.name, 2e-5);
    } catch (const Error& error) {
      ADD_FAILURE() << each.name << ": " << error.what();
    }
  }
}

TEST(Onnx, NetworksOfBothOfTorchsExporters) {
  for (const Case& each : cases_of("onnx/networks.safetensors")) {
    if (each.name.rfind("qdq", 0) == 0) continue;
    const auto module = load_bytes(each.bytes);
    EXPECT_FALSE(module->is_training());
    expect_same(module->run(each.inputs)[0], each.outputs[0], each.name, 1e-5);
  }
}

TEST(Onnx, WhatExportersTakeApartIsOnePieceAgain) {
  for (const char* how : {"script13", "script17", "dynamo18"}) {
    const auto module = load_bytes(case_of(std::string("cnn_") + how).bytes);
    for (const char* op :
         {"hardtanh", "hardswish", "silu", "hardsigmoid", "gelu", "group_norm", "linear", "upsample_bilinear2d"}) {
      EXPECT_EQ(count(*module, op), 1U) << how << ": " << op;
    }
    EXPECT_EQ(count(*module, "conv2d"), 5U) << how;
    const auto transformer = load_bytes(case_of(std::string("transformer_") + how).bytes);
    EXPECT_EQ(count(*transformer, "layer_norm"), 2U) << how;
    EXPECT_EQ(count(*transformer, "linear"), 5U) << how;
    EXPECT_EQ(count(*transformer, "gelu"), 1U) << how;
    EXPECT_EQ(count(*transformer, "scaled_dot_product_attention"), 1U) << how;
    EXPECT_EQ(count(*transformer, "matmul"), 0U) << how;
    const auto recurrent = load_bytes(case_of(std::string("recurrent_") + how).bytes);
    EXPECT_EQ(count(*recurrent, "gru"), 2U) << how;
    EXPECT_EQ(count(*recurrent, "lstm"), 1U) << how;
  }
}

TEST(Onnx, NamesAreKept) {
  const auto module = load_model(data("onnx/network.onnx"));
  EXPECT_EQ(module->graph().placeholders()[0]->name(), "x");
  EXPECT_EQ(module->facts().at("source"), "ONNX");
  EXPECT_EQ(module->facts().at("opset"), "17");
  ASSERT_TRUE(module->has_attr("head.weight"));
  EXPECT_EQ(module->attr_kind("head.weight"), AttrKind::kParameter);
  EXPECT_TRUE(module->attr("head.weight").requires_grad());
  const Node* conv = module->graph().find("body_body_3_Conv");
  ASSERT_NE(conv, nullptr) << module->graph().text();
  ASSERT_NE(conv->notes().find(kModulePathNote), nullptr);
  EXPECT_EQ(*conv->notes().find(kModulePathNote), "body.3");
}

TEST(Onnx, ABatchThatIsLeftOpenFollowsTheData) {
  const Case each = case_of("cnn_script17");  // dynamic_axes={'x': {0: 'batch'}}
  const auto module = load_bytes(each.bytes);
  EXPECT_EQ(module->graph().placeholders()[0]->sizes()[0], 1);
  make_batch_flexible(*module);
  const at::Tensor five = each.inputs[0].repeat({5, 1, 1, 1});
  expect_same(module->run({five})[0], each.outputs[0].repeat({5, 1}), "batch of five", 1e-5);
}

TEST(Onnx, OtherSizesThatAreLeftOpenAreGiven) {
  const std::string bytes = test::onnx::model({{node("Relu", {"x"}, {"y"})}, {value("x", {-1, 2, -2, -2})}, {"y"}, {}});
  expect_error([&] { load_bytes(bytes); }, {"input 'x'", "leaves sizes open", "--input-size"});
  const auto module = load_bytes(bytes, {.input_sizes = {{1, 2, 8, 6}}});
  EXPECT_EQ(module->graph().placeholders()[0]->sizes(), (std::vector<int64_t>{1, 2, 8, 6}));
  expect_error(
      [&] {
        load_bytes(bytes, {.input_sizes = {{1, 3, 8, 6}}});
      },
      {"input 'x'", "[n, 2, height, height]", "[1, 3, 8, 6]"});
}

TEST(Onnx, WeightsBesideTheModelAreReadFromItsFolderAlone) {
  const Case plain = case_of("plain");
  const auto module = load_onnx(data("onnx/external.onnx"));
  expect_same(module->run(plain.inputs)[0], plain.outputs[0], "external data", 1e-5);

  std::ifstream stream(data("onnx/external.onnx"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)), {});
  expect_error([&] { load_bytes(bytes); }, {"external.onnx.data", "no folder"});
  const test::TemporaryFolder folder;
  for (const std::string name : {"../secret/data.txt", "/etc/passwd-of-mine", "..", "dir\\file.data.file"}) {
    std::string other = bytes;  // of the same length, so that no length changes
    const std::string padded = name + std::string(18 - std::min<size_t>(18, name.size()), 'x');
    for (size_t at = 0; (at = other.find("external.onnx.data", at)) != std::string::npos;)
      other.replace(at, 18, name == ".." ? "../../../../xxxxxx" : padded.substr(0, 18));
    std::ofstream(folder.file("bad.onnx"), std::ios::binary) << other;
    expect_error([&] { load_onnx(folder.file("bad.onnx")); }, {"no plain name"});
  }
  std::ofstream(folder.file("good.onnx"), std::ios::binary) << bytes;
  expect_error([&] { load_onnx(folder.file("good.onnx")); }, {"cannot be opened"});
  std::filesystem::create_symlink(data("onnx/external.onnx.data"), folder.file("external.onnx.data"));
  expect_error([&] { load_onnx(folder.file("good.onnx")); }, {"link"});
  std::filesystem::remove(folder.file("external.onnx.data"));
  std::ofstream(folder.file("external.onnx.data")) << "short";
  expect_error([&] { load_onnx(folder.file("good.onnx")); }, {"reach past the end"});
}

at::Tensor result_of(const std::string& step, const at::Tensor& x, const test::onnx::Texts& initializers = {}) {
  return load_bytes(one_step(step, initializers))->run({x})[0];
}

std::string ones(const std::string& name, const test::onnx::Sizes& sizes) {
  const int64_t count = std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
  return tensor(name, test::onnx::kFloat, sizes,
                test::onnx::of_floats(std::vector<float>(static_cast<size_t>(count), 1.0F)));
}

std::string integers(const std::string& name, const test::onnx::Sizes& values) {
  return tensor(name, test::onnx::kInt64, {static_cast<int64_t>(values.size())}, test::onnx::of_integers(values));
}

TEST(Onnx, WhatAtenHasNotIsRefusedWithTheReason) {
  const auto refuses = [](const std::string& step, const std::vector<std::string>& parts,
                          const test::onnx::Texts& initializers = {}, int64_t opset = 17) {
    expect_error([&] { load_bytes(one_step(step, initializers, opset)); }, parts);
  };
  const std::string scales = tensor("s", test::onnx::kFloat, {4}, test::onnx::of_floats({1, 1, 2, 2}));
  refuses(
      node("Resize", {"x", "", "s"}, {"y"},
           {attribute("mode", std::string("linear")),
            attribute("coordinate_transformation_mode", std::string("asymmetric"))},
           "up1/Resize"),
      {"[Resize 'up1/Resize'] coordinate_transformation_mode: expected half_pixel or align_corners", "got asymmetric"},
      {scales});
  refuses(node("Resize", {"x", "", "s"}, {"y"}, {attribute("mode", std::string("sinc"))}, "up"),
          {"[Resize 'up'] mode: expected nearest, linear or cubic, got sinc"}, {scales});
  refuses(node("NonMaxSuppression", {"x"}, {"y"}, {}, "nms"),
          {"[NonMaxSuppression 'nms']", "'NonMaxSuppression' of ai.onnx (opset 17) is not one that octet reads",
           "docs/onnx.md"});
  refuses(node("FusedConv", {"x"}, {"y"}, {}, "f", "com.microsoft"), {"'FusedConv' of com.microsoft"});
  refuses(node("QLinearConv", {"x"}, {"y"}), {"QDQ"});
  refuses(node("Relu", {"x"}, {"y"}), {"opset: expected 13 to 21, got 11", "version_converter"}, {}, 11);
  refuses(node("Reshape", {"x", "x"}, {"y"}), {"[Reshape 'y'] shape: expected numbers that stand in the file"});
  refuses(node("Relu", {"x", "x"}, {"y"}), {"[Relu 'y'] inputs: expected 1, got 2"});
  refuses(node("MaxPool", {"x"}, {"y"},
               {attribute("kernel_shape", test::onnx::Sizes{2, 2}), attribute("auto_pad", std::string("HOW"))}),
          {"auto_pad: expected", "got HOW"});
  refuses(node("BatchNormalization", {"x", "s", "s", "s", "s"}, {"y"}, {attribute("training_mode", int64_t{1})}),
          {"training_mode: expected 0, got 1"}, {ones("s", {2})});
  refuses(node("Softmax", {"x"}, {"y"}, {attribute("axis", int64_t{7})}), {"axis: expected a dimension of 4, got 7"});
}

// Of padding that is not counted, on one side alone: TensorFlow's SAME.
TEST(Onnx, AveragesLeaveOutPaddingOfEitherSide) {
  const at::Tensor x = at::randn({1, 2, 4, 4});
  for (const std::string how : {"SAME_UPPER", "SAME_LOWER"}) {
    for (const int64_t kernel : {2, 3, 4}) {
      for (const int64_t stride : {1, 2, 3}) {
        const int64_t places = (4 + stride - 1) / stride;
        const int64_t all = std::max<int64_t>((places - 1) * stride + kernel - 4, 0);
        const int64_t before = how == "SAME_UPPER" ? all / 2 : all - all / 2;
        const auto sums = [&](const at::Tensor& image) {
          const at::Tensor wide = at::constant_pad_nd(image, {before, all - before, before, all - before});
          return at::avg_pool2d(wide, {kernel, kernel}, {stride, stride});
        };
        const at::Tensor got =
            result_of(node("AveragePool", {"x"}, {"y"},
                           {attribute("kernel_shape", test::onnx::Sizes{kernel, kernel}),
                            attribute("strides", test::onnx::Sizes{stride, stride}), attribute("auto_pad", how)}),
                      x);
        expect_same(got, sums(x) / sums(at::ones_like(x)), str(how, " ", kernel, " / ", stride), 1e-5);
      }
    }
  }
}

TEST(Onnx, ConvolutionsArePaddedBeyondTheirWindow) {
  const at::Tensor x = at::randn({1, 2, 4, 4});
  const at::Tensor got = result_of(node("Conv", {"x", "w"}, {"y"}, {attribute("pads", test::onnx::Sizes{1, 2, 1, 2})}),
                                   x, {ones("w", {1, 2, 1, 1})});
  expect_same(got, at::conv2d(x, at::ones({1, 2, 1, 1}), {}, 1, {1, 2}), "1x1", 1e-6);
}

TEST(Onnx, SlicesThatBeginInFrontOfTheFirstAndGoBack) {
  const at::Tensor x = at::randn({1, 2, 4, 4});
  const at::Tensor got =
      result_of(node("Slice", {"x", "b", "e", "a", "s"}, {"y"}), x,
                {integers("b", {-9}), integers("e", {-99}), integers("a", {2}), integers("s", {-1})});
  expect_same(got, x.slice(2, 0, 1), "first", 0);
}

// ATen gives int64 for sums and floats for powers; ONNX the type of the input.
TEST(Onnx, IntegersKeepTheirType) {
  constexpr int kInt32 = 6;
  const at::Tensor x = at::tensor({4, 9, 16}, at::kInt);
  const auto run = [&](const std::string& step, const test::onnx::Texts& initializers) {
    return load_bytes(test::onnx::model({{step}, {value("x", {3}, kInt32)}, {"y"}, initializers}))->run({x})[0];
  };
  const std::string zero = integers("i", {0});
  expect_same(run(node("ReduceSum", {"x", "i"}, {"y"}), {zero}), at::tensor({29}, at::kInt), "sum", 0);
  expect_same(run(node("ReduceProd", {"x"}, {"y"}), {}), at::tensor({576}, at::kInt), "product", 0);
  expect_same(run(node("CumSum", {"x", "i"}, {"y"}), {zero}), at::tensor({4, 13, 29}, at::kInt), "sums", 0);
  const std::string half = tensor("h", test::onnx::kFloat, {1}, test::onnx::of_floats({0.5F}));
  expect_same(run(node("Pow", {"x", "h"}, {"y"}), {half}), at::tensor({2, 3, 4}, at::kInt), "roots", 0);
}

// A file is read on zeros, by which integers are not divided.
TEST(Onnx, IntegersAreDividedByWhatIsGiven) {
  constexpr int kInt32 = 6;
  for (const std::string op : {"Div", "Mod"}) {
    const auto module = load_bytes(test::onnx::model(
        {{node(op, {"x", "z"}, {"y"})}, {value("x", {2}, kInt32), value("z", {2}, kInt32)}, {"y"}, {}}));
    const at::Tensor got = module->run({at::tensor({7, -7}, at::kInt), at::tensor({2, 3}, at::kInt)})[0];
    expect_same(got, at::tensor(op == "Div" ? std::vector<int>{3, -2} : std::vector<int>{1, 2}, at::kInt), op, 0);
  }
}

TEST(Onnx, ForeignQuantizedNetworksAreQuantizedModels) {
  for (const char* name : {"qdq_int8", "qdq_uint8"}) {
    const Case each = case_of(name);
    const auto module = load_bytes(each.bytes);
    const at::Tensor got = module->run(each.inputs)[0];
    expect_same(got, each.outputs[0], name, 1e-6);
    EXPECT_GT(count(*module, "dequantize_per_tensor"), 5U) << name;
    EXPECT_EQ(count(*module, "dequantize_per_channel") > 0, std::string(name) == "qdq_int8");
    const Node* conv = nullptr;
    for (const Node* step : module->graph().nodes()) {
      if (conv == nullptr && step->is(Trait::kConvolution)) conv = step;
    }
    const Node* weight = conv->arg("weight").node();
    ASSERT_TRUE(weight->is(Trait::kDequantize)) << name;
    EXPECT_EQ(weight->arg(size_t{0}).node()->meta()->dtype, at::kChar) << name;
  }
}

}  // namespace
}  // namespace octet
