// Each model that octet builds by name, on the way to the device; and one of them beside the benchmark's own file.
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>

#include "octet/formats/npy.h"
#include "octet/graph/record.h"
#include "octet/integer/executor.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program_graph.h"
#include "octet/models/folded_weights.h"
#include "octet/models/registry.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/quantize/sqnr.h"
#include "octet/support/error.h"
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

TEST(DsCnn, WithTheBenchmarksWeightsGivesItsResults) {
  const at::NoGradGuard no_grad;
  const auto trained = load_tflite(test::data("tflite/kws_fp32.tflite"));
  make_batch_flexible(*trained);
  const auto model = make_model("ds_cnn");
  model->eval();
  load_folded(*model, folded_layers(*trained), "kws");
  const at::Tensor input = read_npy(test::data("tflite/kws_calib.npy"));
  const at::Tensor expected = trained->forward(input);
  const at::Tensor got = at::softmax(model->forward(input.permute({0, 3, 1, 2})), 1);
  EXPECT_LE((got - expected).abs().max().item<double>(), 1e-5);
}

// Where a convolution has no bias of its own, the BatchNorm behind it takes that of the folded layer.
TEST(FoldedWeights, TellWhatFindsNoPlace) {
  const at::NoGradGuard no_grad;
  at::manual_seed(3);
  const auto model = make_model("mobilenet_v2_w025_small", {.num_classes = 4});
  model->eval();
  for (const auto& module : model->modules()) {
    if (auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) {
      for (at::Tensor* each : {&norm->bias, &norm->running_mean}) each->normal_(0, 0.2);
      norm->running_var.uniform_(0.5, 2);
    }
  }
  const at::Tensor input = at::randn({2, 3, 32, 32});
  const auto recorded = export_module(*model, {input});
  fold_batch_norms(*recorded);
  std::vector<FoldedLayer> layers = folded_layers(*recorded);
  const auto other = make_model("mobilenet_v2_w025_small", {.num_classes = 4});
  other->eval();
  load_folded(*other, layers, "file");
  EXPECT_TRUE(at::allclose(other->forward(input), model->forward(input), 1e-3, 1e-4));

  const auto told = [&](const std::vector<FoldedLayer>& given) {
    const auto fresh = make_model("mobilenet_v2_w025_small", {.num_classes = 4});
    const at::Tensor before = fresh->parameters().front().clone();
    std::string text;
    try {
      load_folded(*fresh, given, "file");
    } catch (const Error& error) {
      text = error.what();
    }
    EXPECT_TRUE(at::equal(fresh->parameters().front(), before));
    return text;
  };
  layers.push_back({"extra", at::zeros({7, 7}), {}});
  EXPECT_NE(told(layers).find("[file] 'extra' has no counterpart in the model"), std::string::npos) << told(layers);
  layers.resize(layers.size() - 2);
  EXPECT_NE(told(layers).find("no weight of [4, 1280] is left for 'classifier.1'"), std::string::npos) << told(layers);
}

}  // namespace
}  // namespace octet
