#include "octet/formats/torchscript.h"

#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include <fstream>

#include "../graph/expect_error.h"
#include "../support/test_data.h"
#include "octet/formats/npy.h"

namespace octet {
namespace {

using test::data;
using test::expect_error;
using Ops = std::vector<std::string>;

std::vector<std::string> ops(const GraphModule& module) {
  std::vector<std::string> found;
  for (const Node* node : module.graph().nodes()) {
    if (node->is_call()) found.push_back(node->target());
  }
  return found;
}

// A TorchScript file of one method, compiled by libtorch itself.
std::string script(const test::TemporaryFolder& folder, const std::string& source) {
  torch::jit::Module module("Net");
  module.register_parameter("weight", at::ones({3}), false);
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define(source);
  const std::string path = folder.file("net.pt");
  module.save(path);
  return path;
}

TEST(TorchScript, ScriptedTracedAndFrozenFilesOfPython) {
  const at::Tensor x = read_npy(data("torchscript/input.npy"));
  const Tensors expected = {read_npy(data("torchscript/output_0.npy")), read_npy(data("torchscript/output_1.npy"))};
  for (const char* kind : {"scripted", "traced", "frozen"}) {
    auto program = load_torchscript(data(std::string("torchscript/") + kind + ".pt"), Tensors{x});
    const Tensors got = program->run({x});
    ASSERT_EQ(got.size(), 2U) << kind;
    EXPECT_TRUE(at::allclose(got[0], expected[0], 1e-4, 1e-5)) << kind;
    EXPECT_TRUE(at::allclose(got[1], expected[1], 1e-4, 1e-5)) << kind;
    Ops called = ops(*program);
    if (std::string(kind) == "frozen") continue;  // it has lost its BatchNorm and dropout to the freezer
    EXPECT_EQ(called, (Ops{"aten.conv2d.default", "aten.batch_norm.default", "aten.hardtanh_.default",
                           "aten.conv_transpose2d.input", "aten.mul.Tensor", "aten.add.Tensor",
                           "aten.max_pool2d.default", "aten.adaptive_avg_pool2d.default", "aten.view.default",
                           "aten.dropout.default", "aten.linear.default", "aten.softmax.int"}))
        << kind;
    EXPECT_EQ(program->graph().find("conv2d")->arg("weight").node()->target(), "features.0.weight") << kind;
    EXPECT_EQ(program->attr_kind("scale"), AttrKind::kBuffer) << kind;
    EXPECT_FALSE(program->is_training()) << kind;
    EXPECT_EQ(program->named_parameters().keys(),
              (std::vector<std::string>{"features.0.weight", "features.1.weight", "features.1.bias", "up.weight",
                                        "up.bias", "fc.weight", "fc.bias"}))
        << kind;
  }
}

TEST(TorchScript, TrainModeIsAnOption) {
  auto program = load_torchscript_of_sizes(data("torchscript/scripted.pt"), {{2, 3, 8, 8}}, {.train = true});
  EXPECT_TRUE(program->is_training());
  EXPECT_TRUE(program->graph().find("dropout")->arg("train").to_bool());
  EXPECT_TRUE(program->graph().find("batch_norm")->arg("training").to_bool());
  program->eval();
  const at::Tensor x = read_npy(data("torchscript/input.npy"));
  EXPECT_TRUE(at::allclose(program->run({x})[0], read_npy(data("torchscript/output_0.npy")), 1e-4, 1e-5));
}

TEST(TorchScript, ControlFlow) {
  const test::TemporaryFolder folder;
  const std::string by_size = script(folder, R"(
def forward(self, x):
    y = x
    for i in range(x.size(1)):
        y = y * self.weight
    if x.dim() == 2:
        y = y.relu()
    return {"result": y, "input": x}
)");
  auto program = load_torchscript(by_size, Tensors{at::ones({2, 3})});
  EXPECT_EQ(ops(*program), (Ops{"aten.mul.Tensor", "aten.mul.Tensor", "aten.mul.Tensor", "aten.relu.default"}));
  EXPECT_EQ(program->run({at::ones({1, 3})}).size(), 2U);
  const std::string by_value = script(folder, R"(
def forward(self, x):
    if bool(x.sum() > 0):
        return x * 2
    return x
)");
  expect_error([&] { load_torchscript(by_value, Tensors{at::ones({3})}); }, {"net.pt", "depends on the values"});
}

TEST(TorchScript, ErrorsAreOneClearLine) {
  const test::TemporaryFolder folder;
  const std::string good = data("torchscript/scripted.pt");
  expect_error([&] { load_torchscript(good, Tensors{}); }, {"scripted.pt", "forward takes 1", "sizes of each input"});
  expect_error([&] { load_torchscript_of_sizes(good, {{2, 3, 8, 8}, {1}}); }, {"scripted.pt"});
  expect_error([&] { load_torchscript_of_sizes(good, {{2, 5, 8, 8}}); }, {"scripted.pt", "channels"});
  expect_error([&] { load_torchscript_of_sizes(folder.file("none.pt"), {{1}}); }, {"none.pt", "cannot be opened"});
  std::ifstream in(good, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const auto damaged = [&](const std::string& content) {
    const std::string path = folder.file("damaged.pt");
    std::ofstream(path, std::ios::binary) << content;
    return path;
  };
  expect_error([&] { load_torchscript_of_sizes(damaged("not a zip"), {{1}}); },
               {"damaged.pt", "cannot be read as TorchScript"});
  expect_error([&] { load_torchscript_of_sizes(damaged(""), {{1}}); }, {"damaged.pt"});
  for (const size_t part : {2, 3, 10}) {
    expect_error(
        [&] { load_torchscript_of_sizes(damaged(bytes.substr(0, bytes.size() - bytes.size() / part)), {{1}}); },
        {"damaged.pt"});
  }
  // Single bytes flipped all over the file: an error or a program, never a crash.
  for (size_t at = 0; at < bytes.size(); at += 997) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(~flipped[at]);
    try {
      load_torchscript_of_sizes(damaged(flipped), {{2, 3, 8, 8}});
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace octet
