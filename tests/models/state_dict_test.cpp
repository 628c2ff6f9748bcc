#include "octet/models/state_dict.h"

#include <gtest/gtest.h>

#include "octet/models/registry.h"
#include "octet/support/error.h"

namespace octet {
namespace {

StateDict cloned(const torch::nn::Module& module) {
  StateDict copy;
  for (const auto& [name, tensor] : state_dict(module)) copy.emplace_back(name, tensor.detach().clone());
  return copy;
}

std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(StateDict, CopiesEveryParameterAndBuffer) {
  at::manual_seed(1);
  auto from = make_model("resnet8");
  auto to = make_model("resnet8");
  from->forward(at::randn({4, 3, 32, 32}));  // moves the running statistics
  auto report = load_state_dict(*to, cloned(*from));
  EXPECT_TRUE(report.missing.empty());
  from->eval();
  to->eval();
  at::Tensor x = at::randn({2, 3, 32, 32});
  EXPECT_TRUE(at::equal(from->forward(x), to->forward(x)));
}

TEST(StateDict, ConvertsTypes) {
  auto model = make_model("cifarnet");
  StateDict state = cloned(*model);
  for (auto& [name, tensor] : state) tensor = tensor.to(at::kHalf);
  load_state_dict(*model, state);
  EXPECT_EQ(model->parameters()[0].dtype(), at::kFloat);
}

TEST(StateDict, NamesWhatIsMissingAndUnexpected) {
  auto model = make_model("cifarnet");
  StateDict state = cloned(*model);
  state[1].first = "conv1.offset";
  EXPECT_EQ(message([&] { load_state_dict(*model, state); }),
            "[state dict] missing 'conv1.bias'; unexpected 'conv1.offset'");
  auto report = load_state_dict(*model, state, /*strict=*/false);
  EXPECT_EQ(report.missing, std::vector<std::string>{"conv1.bias"});
  EXPECT_EQ(report.unexpected, std::vector<std::string>{"conv1.offset"});
}

TEST(StateDict, NamesWrongShapesAndWritesNothing) {
  auto model = make_model("cifarnet");
  at::Tensor before = model->parameters()[0].detach().clone();
  StateDict state = cloned(*model);
  state[0].second = state[0].second + 1;
  state[3].second = at::zeros({31});
  for (bool strict : {true, false}) {
    EXPECT_EQ(message([&] { load_state_dict(*model, state, strict); }),
              "[state dict] 'conv2.bias' shape: expected [32], got [31]");
  }
  EXPECT_TRUE(at::equal(before, model->parameters()[0]));
}

TEST(StateDict, RefusesRepeatedNames) {
  auto model = make_model("cifarnet");
  StateDict state = cloned(*model);
  state.push_back(state[0]);
  EXPECT_EQ(message([&] { load_state_dict(*model, state); }), "[state dict] 'conv1.weight' is given twice");
}

TEST(StateDict, OldFilesWithoutBatchCountersLoad) {
  auto model = make_model("resnet8");
  StateDict state;
  for (auto& item : cloned(*model)) {
    if (item.first.find("num_batches_tracked") == std::string::npos) state.push_back(item);
  }
  ASSERT_LT(state.size(), state_dict(*model).size());
  for (auto& item : state) item.second = item.second + 1;
  load_state_dict(*model, state);
  const StateDict loaded = state_dict(*model);
  for (const auto& [name, wanted] : state) {
    const auto found = std::find_if(loaded.begin(), loaded.end(), [&](const auto& item) { return item.first == name; });
    ASSERT_NE(found, loaded.end()) << name;
    EXPECT_TRUE(at::equal(found->second, wanted)) << name;
  }
}

}  // namespace
}  // namespace octet
