#include <gtest/gtest.h>
#include <torch/optim/adam.h>

#include <fstream>
#include <set>
#include <sstream>

#include "octet/models/cifar_net.h"
#include "octet/models/layers.h"
#include "octet/models/mobilenet_v2.h"
#include "octet/models/registry.h"
#include "octet/models/resnet.h"
#include "octet/models/resnet8.h"
#include "octet/models/state_dict.h"
#include "octet/support/error.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

int64_t parameter_count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const auto& parameter : module.parameters()) count += parameter.numel();
  return count;
}

std::string shape_text(const at::Tensor& tensor) {
  std::string text;
  for (int64_t size : tensor.sizes()) {
    if (!text.empty()) text += ',';
    text += std::to_string(size);
  }
  return text;
}

TEST(MobileNetV2, HasTorchvisionsParameterCount) {
  EXPECT_EQ(parameter_count(*make_model("mobilenet_v2")), 3504872);
  // Width 0.5 with 10 classes and one channel, counted by hand from the paper's table.
  ModelOptions options;
  options.num_classes = 10;
  options.in_channels = 1;
  EXPECT_EQ(parameter_count(*make_model("mobilenet_v2_w050", options)), 700202);
}

TEST(MobileNetV2, StateDictIsNamedAndShapedAsTorchvisions) {
  std::map<std::string, std::string> expected_state;
  std::ifstream file(test::data("models/mobilenet_v2_w025_state.txt"));
  for (std::string name, shape; file >> name && std::getline(file, shape);) {
    expected_state[name] = shape.empty() ? "" : shape.substr(1);
  }
  ASSERT_GT(expected_state.size(), 300u);
  MobileNetV2Options options;
  options.width = 0.25;
  options.num_classes = 10;
  options.last_channels = 320;  // that model scales it too
  std::map<std::string, std::string> got;
  for (const auto& [name, tensor] : state_dict(MobileNetV2(options))) got[name] = shape_text(tensor);
  EXPECT_EQ(got, expected_state);
}

TEST(MobileNetV2, RunsAtAnySizeAndBatch) {
  at::NoGradGuard no_grad;
  MobileNetV2Options options;
  options.width = 0.25;
  options.num_classes = 7;
  MobileNetV2 large(options);
  large.eval();
  EXPECT_EQ(large.forward(at::randn({2, 3, 64, 96})).sizes(), (at::IntArrayRef{2, 7}));
  EXPECT_EQ(large.sample_shape(), (std::vector<int64_t>{3, 224, 224}));
  options.in_channels = 1;
  MobileNetV2 small(options.small_input());
  small.eval();
  EXPECT_EQ(small.forward(at::randn({3, 1, 32, 32})).sizes(), (at::IntArrayRef{3, 7}));
  EXPECT_EQ(small.sample_shape(), (std::vector<int64_t>{1, 32, 32}));
}

TEST(MobileNetV2, InitialisesAsTorchvision) {
  at::manual_seed(3);
  MobileNetV2 model;
  auto parameters = model.named_parameters();
  // He-normal over the fan out: std = sqrt(2 / (out channels * kernel area)).
  at::Tensor point = parameters["features.18.0.weight"];
  EXPECT_NEAR(point.std().item<double>(), std::sqrt(2.0 / 1280), 2e-3 * std::sqrt(2.0 / 1280) * 10);
  EXPECT_NEAR(parameters["classifier.1.weight"].std().item<double>(), 0.01, 1e-4);
  EXPECT_EQ(parameters["classifier.1.bias"].abs().sum().item<double>(), 0.0);
  EXPECT_TRUE(parameters["features.0.1.weight"].eq(1).all().item<bool>());
  EXPECT_TRUE(parameters["features.0.1.bias"].eq(0).all().item<bool>());
  EXPECT_FALSE(parameters.contains("features.0.0.bias"));
}

TEST(MobileNetV2, ResidualAddsOnlyWhereShapesAllow) {
  // In train mode, since fresh running statistics let the signal fade. With its last BatchNorm's gamma and beta at 0,
  // features.3 (24 -> 24, stride 1), which is residual, is the identity, and features.2 (16 -> 24, stride 2) is zero.
  at::NoGradGuard no_grad;
  at::manual_seed(1);
  MobileNetV2Options options;
  options.dropout = 0.0;
  MobileNetV2 model(options);
  auto parameters = model.named_parameters();
  at::Tensor one = at::randn({4, 3, 64, 64});
  at::Tensor other = at::randn({4, 3, 64, 64});
  auto differ = [&](const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>() > 1e-4; };
  parameters["features.3.conv.3.weight"].zero_();
  parameters["features.3.conv.3.bias"].zero_();
  EXPECT_TRUE(differ(model.forward(one), model.forward(other)));
  parameters["features.2.conv.3.weight"].zero_();
  parameters["features.2.conv.3.bias"].zero_();
  EXPECT_FALSE(differ(model.forward(one), model.forward(other)));
}

TEST(MobileNetV2, RefusesImpossibleOptions) {
  MobileNetV2Options options;
  options.width = 0;
  EXPECT_THROW(MobileNetV2{options}, Error);
  options.width = 1;
  options.dropout = 1.0;
  EXPECT_THROW(MobileNetV2{options}, Error);
}

TEST(MakeDivisible, RoundsAndNeverLosesMoreThanATenth) {
  EXPECT_EQ(layers::make_divisible(32 * 0.25, 8), 8);
  EXPECT_EQ(layers::make_divisible(3, 8), 8);
  EXPECT_EQ(layers::make_divisible(20, 8), 24);
  EXPECT_EQ(layers::make_divisible(12, 8), 16);
  EXPECT_EQ(layers::make_divisible(44.8, 8), 48);
  EXPECT_EQ(layers::make_divisible(33.6, 8), 32);
  EXPECT_EQ(layers::make_divisible(11.2, 8), 16);  // 8 would lose over a tenth
}

TEST(CifarNet, FollowsTheExample) {
  at::NoGradGuard no_grad;
  CifarNet net;
  EXPECT_EQ(parameter_count(net), 32 * 3 * 25 + 32 + 32 * 32 * 25 + 32 + 64 * 32 * 25 + 64 + 10240 + 10);
  at::Tensor x = at::randn({4, 3, 32, 32});
  at::Tensor y = net.forward(x);
  EXPECT_EQ(y.sizes(), (at::IntArrayRef{4, 10}));
  EXPECT_TRUE(at::allclose(y.sum(1), at::ones({4})));
  // The same with the convolutions padding by themselves.
  auto p = net.named_parameters();
  auto conv = [&](const at::Tensor& v, const std::string& n) {
    return at::conv2d(v, p[n + ".weight"], p[n + ".bias"], 1, 2);
  };
  at::Tensor z = at::max_pool2d(conv(x, "conv1"), 2, 2);
  z = at::max_pool2d(conv(z, "conv2"), 2, 2);
  z = conv(z, "conv3").slice(2, 0, 8, 2).slice(3, 0, 8, 2);  // max pool of kernel 1 and stride 2
  z = at::softmax(at::linear(z.flatten(1), p["fc.weight"], p["fc.bias"]), 1);
  EXPECT_TRUE(at::allclose(y, z, 1e-4, 1e-6));
}

TEST(ResNet8, HasTheBenchmarksSize) {
  ResNet8 net;
  EXPECT_EQ(parameter_count(net), 78186);  // and 480 BatchNorm statistics: MLPerf Tiny's 78,666
  at::NoGradGuard no_grad;
  net.eval();
  EXPECT_EQ(net.forward(at::randn({2, 3, 32, 32})).sizes(), (at::IntArrayRef{2, 10}));
  auto names = net.named_parameters();
  EXPECT_TRUE(names.contains("stack2.shortcut.weight"));
  EXPECT_FALSE(names.contains("stack1.shortcut.weight"));
}

TEST(Registry, ReadsNamesAndOptions) {
  ModelOptions options;
  options.num_classes = 5;
  auto small = std::dynamic_pointer_cast<MobileNetV2>(make_model("mobilenet_v2_w035_small", options));
  ASSERT_NE(small, nullptr);
  EXPECT_DOUBLE_EQ(small->options().width, 0.35);
  EXPECT_EQ(small->options().input_size, 32);
  EXPECT_EQ(small->options().num_classes, 5);
  EXPECT_EQ(small->options().stage_strides[1], 2);
  auto fine = std::dynamic_pointer_cast<MobileNetV2>(make_model("mobilenet_v2_w035_fine"));
  ASSERT_NE(fine, nullptr);
  EXPECT_EQ(fine->options().input_size, 32);
  EXPECT_EQ(fine->options().stage_strides[1], 1);
  EXPECT_EQ(make_model("mobilenet_v3_small_w050")->parameters().front().size(0), 8);
  EXPECT_THROW(make_model("mobilenet_v3"), Error);
  EXPECT_THROW(make_model("mobilenet_v3_small_w050", {.width = 0.25}), Error);
  EXPECT_THROW(make_model("mobilenet_v3_small_fine"), Error);
  EXPECT_THROW(make_model("resnet18_w050"), Error);
  EXPECT_THROW(make_model("mobilenet_v2_wide"), Error);
  ModelOptions wide;
  wide.width = 2;
  try {
    make_model("resnet8", wide);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[resnet8] has no option 'width'");
  }
}

TEST(Registry, TellsWhatEachModelTakes) {
  std::set<std::string> names;
  for (const ModelFacts& facts : known_models()) {
    EXPECT_TRUE(names.insert(facts.name).second) << facts.name;
    EXPECT_TRUE(find_model_facts(facts.name).has_value());
    const auto has = [&](const char* option) {
      return std::find(facts.options.begin(), facts.options.end(), option) != facts.options.end();
    };
    ModelOptions options;
    if (has("num_classes")) options.num_classes = 7;
    if (has("in_channels")) options.in_channels = 2;
    if (has("width")) options.width = 0.5;
    if (has("dropout")) options.dropout = 0.1;
    const auto model = make_model(facts.name, options);
    model->eval();
    std::vector<int64_t> shape = model->sample_shape();
    if (has("in_channels")) {
      EXPECT_EQ(shape[0], 2) << facts.name;
    }
    shape.insert(shape.begin(), 1);
    const at::NoGradGuard no_grad;
    const at::Tensor out = model->forward(at::zeros(shape));
    EXPECT_EQ(out.dim(), 2) << facts.name;
    if (has("num_classes")) {
      EXPECT_EQ(out.size(1), 7) << facts.name;
    }
    if (has("width")) {
      EXPECT_TRUE(find_model_facts(facts.name + "_w050").has_value()) << facts.name;
    }
  }
  EXPECT_FALSE(find_model_facts("resnet8.pt2").has_value());
  EXPECT_FALSE(find_model_facts("mobilenet_v3").has_value());
}

TEST(Models, RefuseImpossibleOptions) {
  for (const ModelFacts& facts : known_models()) {
    for (const std::string& option : facts.options) {
      ModelOptions options;
      if (option == "num_classes") options.num_classes = 0;
      if (option == "in_channels") options.in_channels = -1;
      if (option == "width") options.width = 0.0;
      if (option == "dropout") options.dropout = 1.0;
      if (option == "small_input") continue;
      EXPECT_THROW(make_model(facts.name, options), Error) << facts.name << ' ' << option;
    }
  }
  ResNetOptions grouped;
  grouped.groups = 32;
  EXPECT_THROW(ResNet{grouped}, Error);  // of two 3x3 convolutions
}

// torchvision's resnext50_32x4d and wide_resnet50_2.
TEST(ResNet, HasGroupsAndWidths) {
  ResNetOptions options{.blocks = {3, 4, 6, 3}, .bottleneck = true};
  options.groups = 32;
  options.width_per_group = 4;
  EXPECT_EQ(parameter_count(ResNet(options)), 25028904);
  options.groups = 1;
  options.width_per_group = 128;
  EXPECT_EQ(parameter_count(ResNet(options)), 68883240);
}

// A few steps on one batch, small pictures for speed.
TEST(Models, ALossGoesDown) {
  for (const ModelFacts& facts : known_models()) {
    if (facts.name == "resnet50" || facts.name == "tf_efficientnet_lite0") continue;  // as resnet18 and its twin
    at::manual_seed(1);
    ModelOptions options;
    const bool classifies = facts.name != "autoencoder";
    if (classifies) options.num_classes = 4;
    if (std::find(facts.options.begin(), facts.options.end(), "dropout") != facts.options.end()) options.dropout = 0;
    const auto model = make_model(facts.name, options);
    std::vector<int64_t> shape = model->sample_shape();
    if (shape.back() == 224) shape[1] = shape[2] = 64;
    shape.insert(shape.begin(), 4);
    const at::Tensor x = at::randn(shape);
    const at::Tensor labels = at::arange(4);
    const auto loss = [&] {
      const at::Tensor y = model->forward(x);
      if (!classifies) return at::mse_loss(y, x);
      return facts.name == "cifarnet" ? at::nll_loss(at::log(y), labels) : at::cross_entropy_loss(y, labels);
    };
    const double before = loss().item<double>();
    double after = before;
    torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(2e-3));
    for (int step = 0; step < 10; ++step) {
      optimizer.zero_grad();
      at::Tensor now = loss();
      after = now.item<double>();
      now.backward();
      optimizer.step();
    }
    EXPECT_LT(after, 0.95 * before) << facts.name;
  }
}

TEST(Models, EveryOneTrains) {
  for (const char* name : {"cifarnet", "resnet8", "mobilenet_v2_w025_small", "mobilenet_v3_small_w050", "ds_cnn",
                           "mobilenet_v1", "autoencoder", "wake_word", "resnet18", "efficientnet_lite0"}) {
    auto model = make_model(name);
    auto shape = model->sample_shape();
    if (shape.back() == 224) shape[1] = shape[2] = 64;
    shape.insert(shape.begin(), 2);
    model->forward(at::rand(shape)).sum().backward();
    for (const auto& item : model->named_parameters()) {
      EXPECT_TRUE(item.value().grad().defined()) << name << ' ' << item.key();
    }
  }
}

}  // namespace
}  // namespace octet
