// The models beside their Python originals: what tests/data/models/make.py has written of torchvision, timm and the
// definitions of MLPerf Tiny.
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "octet/graph/record.h"
#include "octet/models/registry.h"
#include "octet/models/state_dict.h"
#include "octet/support/error.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using Json = nlohmann::ordered_json;

// The formula of tests/data/models/README.md: from -1 up to but not 1.
double uniform(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return std::ldexp(static_cast<double>(z >> 11), -52) - 1;
}

at::Tensor value_of(const std::string& name, at::IntArrayRef shape) {
  if (name.ends_with("num_batches_tracked")) return at::zeros(shape, at::kLong);
  uint64_t seed = 0xCBF29CE484222325u;
  for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  at::Tensor tensor = at::empty(shape);
  double middle = 0, reach = 1;
  if (name.ends_with("running_var")) {
    middle = 1;
    reach = 0.5;
  } else if (name == "input") {
    reach = 1;
  } else if (shape.size() >= 2) {
    reach = std::sqrt(6.0 / static_cast<double>(tensor.numel() / shape[0]));
  } else if (name.ends_with("weight")) {
    middle = 1;
    reach = 0.25;
  } else {
    reach = 0.1;
  }
  auto* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(middle + reach * uniform(seed, static_cast<uint64_t>(i)));
  }
  return tensor;
}

std::vector<std::string> reference_files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(test::data("models"))) {
    if (entry.path().extension() == ".json") files.push_back(entry.path().stem().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class Reference : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::ifstream file(test::data("models/" + GetParam() + ".json"));
    reference_ = Json::parse(file);
    const Json& given = reference_["options"];
    ModelOptions options;
    if (given.contains("num_classes")) options.num_classes = given["num_classes"].get<int64_t>();
    if (given.contains("in_channels")) options.in_channels = given["in_channels"].get<int64_t>();
    model_ = make_model(GetParam().substr(0, GetParam().find("_of_")), options);
    model_->eval();
  }

  Json reference_;
  std::shared_ptr<Model> model_;
};

TEST_P(Reference, HasTheNamesAndShapesOfTheOriginal) {
  Json got = Json::object();
  for (const auto& [name, tensor] : state_dict(*model_)) got[name] = join(",", tensor.sizes());
  std::vector<std::string> own, theirs;
  for (const auto& [name, shape] : got.items()) own.push_back(name + ' ' + shape.get<std::string>());
  for (const auto& [name, shape] : reference_["state"].items()) theirs.push_back(name + ' ' + shape.get<std::string>());
  std::sort(own.begin(), own.end());
  std::sort(theirs.begin(), theirs.end());
  EXPECT_EQ(own, theirs);
}

TEST_P(Reference, GivesTheOutputsOfTheOriginal) {
  StateDict state;
  for (const auto& [name, shape] : reference_["state"].items()) {
    std::vector<int64_t> sizes;
    std::stringstream text(shape.get<std::string>());
    for (std::string size; std::getline(text, size, ',');) sizes.push_back(std::stoll(size));
    state.emplace_back(name, value_of(name, sizes));
  }
  load_state_dict(*model_, state);
  const at::Tensor input = value_of("input", reference_["input"].get<std::vector<int64_t>>());
  const at::NoGradGuard no_grad;
  const at::Tensor expected = at::tensor(reference_["output"].get<std::vector<float>>());
  const at::Tensor got = model_->forward(input).flatten();
  ASSERT_EQ(got.sizes(), expected.sizes());
  EXPECT_LE((got - expected).abs().max().item<double>(), 2e-5 * expected.abs().max().item<double>());

  const std::string theirs = reference_["operators"].get<std::string>();
  if (theirs.empty()) return;
  std::vector<std::string> own;
  const auto recorded = export_module(*model_, {input});
  for (const Node* node : recorded->graph().nodes()) {
    if (node->kind() == NodeKind::kCall) own.push_back(node->op().text().substr(std::string("aten.").size()));
  }
  EXPECT_EQ(join(" ", own), theirs);
}

TEST_P(Reference, NormalizesAsTheOriginal) {
  int64_t norms = 0;
  const auto check = [&](const auto& options) {
    ++norms;
    EXPECT_DOUBLE_EQ(options.eps(), reference_["batch_norm"][0].get<double>());
    EXPECT_DOUBLE_EQ(*options.momentum(), reference_["batch_norm"][1].get<double>());
  };
  for (const auto& module : model_->modules()) {
    if (const auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) check(norm->options);
    if (const auto* norm = module->as<torch::nn::BatchNorm1dImpl>()) check(norm->options);
  }
  EXPECT_GT(norms, 0);
}

INSTANTIATE_TEST_SUITE_P(Models, Reference, testing::ValuesIn(reference_files()));

}  // namespace
}  // namespace octet
