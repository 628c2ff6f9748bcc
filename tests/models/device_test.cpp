// Each model that octet builds by name, on the way to the device; and one of them beside the benchmark's own file.
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <cmath>

#include "octet/formats/npy.h"
#include "octet/graph/constant_value.h"
#include "octet/graph/record.h"
#include "octet/integer/executor.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program_graph.h"
#include "octet/models/registry.h"
#include "octet/quantize/sqnr.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

std::vector<std::string> names_of_models() {
  std::vector<std::string> names;
  for (const ModelFacts& facts : known_models()) names.push_back(facts.name);
  return names;
}

class OnTheDevice : public testing::TestWithParam<std::string> {};

TEST_P(OnTheDevice, EveryOperatorIsOnTheNpuInOnePartition) {
  const at::NoGradGuard no_grad;
  at::manual_seed(1);
  const auto model = make_model(GetParam());
  model->eval();
  std::vector<int64_t> sizes = model->sample_shape();
  sizes.insert(sizes.begin(), 1);
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  const auto recorded = export_module(*model, {at::zeros(sizes)});
  const targets::Check found = targets::check_model(*recorded, quantizer);
  EXPECT_EQ(found.placement.partitions, 1) << GetParam();
  for (const targets::OperatorPlacement& row : found.placement.operators) {
    EXPECT_TRUE(row.partition.has_value()) << row.where << ": " << row.reason;
  }
}

// Of smaller pictures, for speed.
TEST_P(OnTheDevice, AProgramOfIntegersComputesWhatItsModelDoes) {
  const at::NoGradGuard no_grad;
  at::manual_seed(1);
  const auto model = make_model(GetParam());
  model->eval();
  std::vector<int64_t> sizes = model->sample_shape();
  if (sizes.back() == 224) sizes[1] = sizes[2] = 64;
  sizes.insert(sizes.begin(), 2);
  const at::Tensor input = at::rand(sizes);
  const auto recorded = export_module(*model, {input});
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  const auto quantized = calibrate_and_quantize(recorded, {{input}}, quantizer);
  const tflite::Model program = lower(*quantized);
  for (const tflite::Operator& op : program.operators) {
    EXPECT_EQ(program.tensors[static_cast<size_t>(op.outputs[0])].type, tflite::Type::kInt8) << GetParam();
  }
  const at::Tensor in_float = quantized->forward(input);
  const at::Tensor in_integers = integer::Executor(program).run_dequantized({input}).at(0);
  EXPECT_GT(compute_error(in_float, in_integers), 15) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Models, OnTheDevice, testing::ValuesIn(names_of_models()));

// The convolutions and linears of a program, BatchNorms folded into them, in order: the model's get the same, its
// BatchNorms nothing to do.
void take_folded(Model& model, const GraphModule& folded) {
  const at::NoGradGuard no_grad;
  std::vector<std::pair<at::Tensor, at::Tensor>> layers;
  for (const Node* node : folded.graph().nodes()) {
    if (node->kind() != NodeKind::kCall) continue;
    if (node->op().text() != "aten.conv2d.default" && node->op().text() != "aten.linear.default") continue;
    layers.emplace_back(constant_value(folded, *node->arg("weight").node()),
                        constant_value(folded, *node->arg("bias").node()));
  }
  size_t taken = 0;
  const auto take = [&](at::Tensor& weight, at::Tensor& bias) {
    ASSERT_LT(taken, layers.size());
    ASSERT_EQ(weight.sizes(), layers[taken].first.sizes());
    weight.copy_(layers[taken].first);
    bias.copy_(layers[taken++].second);
  };
  for (const auto& module : model.modules()) {
    if (auto* conv = module->as<torch::nn::Conv2dImpl>()) {
      take(conv->weight, conv->bias);
    } else if (auto* linear = module->as<torch::nn::LinearImpl>()) {
      take(linear->weight, linear->bias);
    } else if (auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) {
      norm->weight.fill_(std::sqrt(1 + norm->options.eps()));  // mean 0, variance 1, bias 0 as it is made
    }
  }
  EXPECT_EQ(taken, layers.size());
}

TEST(DsCnn, WithTheBenchmarksWeightsGivesItsResults) {
  const at::NoGradGuard no_grad;
  const auto trained = load_tflite(test::data("tflite/kws_fp32.tflite"));
  make_batch_flexible(*trained);
  const auto model = make_model("ds_cnn");
  model->eval();
  take_folded(*model, *trained);
  const at::Tensor input = read_npy(test::data("tflite/kws_calib.npy"));
  const at::Tensor expected = trained->forward(input);
  const at::Tensor got = at::softmax(model->forward(input.permute({0, 3, 1, 2})), 1);
  EXPECT_LE((got - expected).abs().max().item<double>(), 1e-5);
}

}  // namespace
}  // namespace octet
