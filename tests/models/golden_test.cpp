// The C++ models against the same Python models, as torch.export wrote them.
#include <gtest/gtest.h>

#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/graph/record.h"
#include "octet/models/mobilenet_v2.h"
#include "octet/models/state_dict.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

StateDict weights(const GraphModule& module) {
  StateDict state;
  for (const std::string& name : module.attr_names()) state.emplace_back(name, module.attr(name));
  return state;
}

std::vector<std::string> operators(const GraphModule& module) {
  std::vector<std::string> names;
  for (const Node* node : module.graph().nodes()) {
    if (node->kind() == NodeKind::kCall) names.push_back(node->op().text());
  }
  return names;
}

void expect_close(const at::Tensor& got, const at::Tensor& expected) {
  const double scale = expected.abs().max().item<double>();
  EXPECT_LE((got - expected).abs().max().item<double>(), 1e-4 * scale);
}

TEST(Golden, MobileNetV2ComputesWhatThePythonModelDoes) {
  const std::string folder = test::data("golden/cases/net_mobilenet_v2_w025");
  auto python = load_pt2(folder + "/model.pt2");
  MobileNetV2Options options;
  options.width = 0.25;
  options.num_classes = 10;
  options.last_channels = 320;
  auto model = std::make_shared<MobileNetV2>(options);
  load_state_dict(*model, weights(*python));
  model->eval();
  at::Tensor input = read_npy(folder + "/test_0.npy");
  {
    at::NoGradGuard no_grad;
    expect_close(model->forward(input), read_npy(folder + "/float_out.npy"));
  }
  auto recorded = export_module(*model, {input});
  EXPECT_EQ(operators(*recorded), operators(*python));
}

}  // namespace
}  // namespace octet
