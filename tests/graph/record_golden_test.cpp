#include <gtest/gtest.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>

#include "../support/test_data.h"
#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/graph/record.h"
#include "octet/models/mobilenet_v2.h"

namespace octet {
namespace {

namespace nn = torch::nn;

// Every call with its arguments, attributes and values by their position: names of nodes may
// differ.
std::string program_text(const GraphModule& module) {
  std::unordered_map<const Node*, std::string> labels;
  std::unordered_map<std::string, std::string> numbers;  // of attributes in order of first use
  std::string text;
  int64_t count = 0;
  for (const Node* node : module.graph().nodes()) {
    if (node->kind() == NodeKind::kPlaceholder) labels[node] = "input";
    if (!node->is_call()) continue;
    labels[node] = "#" + std::to_string(count++);
    text += node->target() + "(";
    for (size_t i = 0; i < node->args().size(); ++i) {
      if (node->op().schema().arguments()[i].name() == "cudnn_enabled") continue;  // of the machine, not of the model
      const Arg& arg = node->args()[i];
      text += i > 0 ? ", " : "";
      if (arg.is_node() && arg.node()->is_get_attr()) {
        text += numbers.emplace(arg.node()->target(), "tensor " + std::to_string(numbers.size())).first->second;
      } else {
        text += arg.is_node() ? labels[arg.node()] : arg.text();
      }
    }
    text += ")\n";
  }
  return text;
}

// The golden CifarNet.
struct CifarNet : nn::Module {
  CifarNet() {
    c1 = register_module("c1", nn::Conv2d(nn::Conv2dOptions(3, 32, 5).padding(2)));
    c2 = register_module("c2", nn::Conv2d(nn::Conv2dOptions(32, 32, 5).padding(2)));
    c3 = register_module("c3", nn::Conv2d(nn::Conv2dOptions(32, 64, 5).padding(2)));
    fc = register_module("fc", nn::Linear(1024, 10));
  }
  at::Tensor forward(const at::Tensor& x) {
    const nn::functional::MaxPool2dFuncOptions halve(2);
    at::Tensor y = x;
    for (nn::Conv2d& conv : std::vector<nn::Conv2d>{c1, c2, c3}) y = nn::functional::max_pool2d(conv(y), halve);
    return fc(y.flatten(1)).softmax(1);
  }
  nn::Conv2d c1 = nullptr, c2 = nullptr, c3 = nullptr;
  nn::Linear fc = nullptr;
};

// MLPerf Tiny's ResNet8 as the golden files' Python module has it.
struct ResNet8 : nn::Module {
  ResNet8() {
    a = block("a", 3, 16, 1, true);
    b1 = block("b1", 16, 16, 1, true);
    b2 = block("b2", 16, 16, 1, false);
    cs = register_module("cs", nn::Conv2d(nn::Conv2dOptions(16, 32, 1).stride(2)));
    c1 = block("c1", 16, 32, 2, true);
    c2 = block("c2", 32, 32, 1, false);
    ds = register_module("ds", nn::Conv2d(nn::Conv2dOptions(32, 64, 1).stride(2)));
    d1 = block("d1", 32, 64, 2, true);
    d2 = block("d2", 64, 64, 1, false);
    fc = register_module("fc", nn::Linear(64, 10));
  }
  nn::Sequential block(const std::string& name, int64_t in, int64_t out, int64_t stride, bool relu) {
    nn::Sequential made(nn::Conv2d(nn::Conv2dOptions(in, out, 3).stride(stride).padding(1)), nn::BatchNorm2d(out));
    if (relu) made->push_back(nn::ReLU());
    return register_module(name, made);
  }
  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = a->forward(x);
    y = at::relu(y + b2->forward(b1->forward(y)));
    const at::Tensor shortcut = cs(y);
    y = at::relu(shortcut + c2->forward(c1->forward(y)));
    const at::Tensor last = ds(y);
    y = at::relu(last + d2->forward(d1->forward(y)));
    return fc(at::avg_pool2d(y, {8, 8}).flatten(1));
  }
  nn::Sequential a = nullptr, b1 = nullptr, b2 = nullptr, c1 = nullptr, c2 = nullptr, d1 = nullptr, d2 = nullptr;
  nn::Conv2d cs = nullptr, ds = nullptr;
  nn::Linear fc = nullptr;
};

template <typename Module>
void expect_same_as_export(Module& module, const std::string& folder, bool train) {
  SCOPED_TRACE(folder);
  auto exported = load_pt2(test::data(folder + "/model.pt2"));
  const at::Tensor x = read_npy(test::data(folder + "/test_0.npy"));
  ASSERT_EQ(module.parameters().size(), exported->parameters().size());
  {
    const at::NoGradGuard no_grad;
    for (auto& entry : module.named_parameters()) entry.value().copy_(exported->attr(entry.key()));
    for (auto& entry : module.named_buffers()) entry.value().copy_(exported->attr(entry.key()));
  }
  auto recorded = export_module(module, {x}, {.train = train});
  EXPECT_EQ(program_text(*recorded), program_text(*exported));
  recorded->eval();
  EXPECT_TRUE(at::allclose(recorded->forward(x), read_npy(test::data(folder + "/float_out.npy")), 1e-3, 1e-4));
}

TEST(RecordGolden, CppModelsGiveWhatTorchExportGives) {
  CifarNet cifarnet;
  expect_same_as_export(cifarnet, "golden/cases/net_cifarnet", false);
  MobileNetV2 mobilenet({.width = 0.25, .num_classes = 10, .last_channels = 320});
  expect_same_as_export(mobilenet, "golden/cases/net_mobilenet_v2_w025", false);
  ResNet8 resnet8;
  expect_same_as_export(resnet8, "golden/pt2_variants/torch2.14_eval_resnet8", false);
  expect_same_as_export(resnet8, "golden/pt2_variants/torch2.14_train_resnet8", true);
}

}  // namespace
}  // namespace octet
