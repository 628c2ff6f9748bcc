#include "octet/train/integer_prefix.h"

#include <gtest/gtest.h>

#include "octet/graph/record.h"
#include "octet/models/registry.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/frozen_prefix.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/qat.h"

namespace octet {
namespace {

constexpr int64_t kImage = 16;

at::Tensor some_images(int64_t count) {
  return at::randn({count, 3, kImage, kImage}).contiguous(at::MemoryFormat::ChannelsLast);
}

// In train mode, with ranges and statistics of a few steps.
std::shared_ptr<GraphModule> prepared_net(const std::string& name) {
  at::manual_seed(5);
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
  auto model = export_module(*make_model(name), {at::zeros({2, 3, kImage, kImage})}, {.train = true});
  auto prepared = move_exported_model_to_train(prepare_qat_pt2e(model, quantizer));
  for (int i = 0; i < 3; ++i) prepared->forward(some_images(8));
  return prepared;
}

std::shared_ptr<GraphModule> settled_net(const std::string& name, const std::string& freeze) {
  auto prepared = prepared_net(name);
  freeze_layers(*prepared, freeze);
  prepared->apply(disable_observer);
  return prepared;
}

at::Tensor value_of(GraphModule& module, const at::Tensor& images, const std::string& node) {
  at::Tensor found;
  module.run_observed({images}, [&](const Node& each, const c10::IValue& value) {
    if (each.name() == node) found = value.toTensor();
  });
  return found;
}

// Of the values at the prefix's ends: in levels, how far the one is from the other at most, and the share that is
// another.
struct Apart {
  double most = 0;
  double share = 0;
};
Apart levels_apart(const at::Tensor& got, const at::Tensor& wanted, double scale) {
  const at::Tensor levels = ((got - wanted) / scale).abs().round();
  return {levels.max().item<double>(), levels.gt(0).to(at::kFloat).mean().item<double>()};
}

// Of each value at the end: laid out as the steps lay it out, and by how many levels the two differ.
void expect_levels_of_the_steps(const std::string& net, const std::string& share, const Apart& allowed) {
  auto prepared = settled_net(net, share);
  const auto boundary = frozen_boundary(*prepared);
  ASSERT_FALSE(boundary.empty()) << net;
  const IntegerPrefix::Found found = IntegerPrefix::find(*prepared);
  ASSERT_TRUE(found.prefix) << net << ": " << found.declined;
  EXPECT_GT(found.prefix->layers(), 0);
  const at::Tensor images = some_images(6);
  const std::vector<at::Tensor> got = found.prefix->ends({images});
  ASSERT_EQ(got.size(), boundary.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const at::Tensor wanted = value_of(*prepared, images, boundary[i]->name()).detach();
    EXPECT_TRUE(got[i].is_contiguous(at::MemoryFormat::ChannelsLast));
    EXPECT_GT(wanted.abs().max().item<double>(), 0.0);
    const auto* grid = dynamic_cast<const FakeQuantize*>(prepared->callable(boundary[i]->target()).get());
    const Apart apart = levels_apart(got[i], wanted, grid->scale.item<double>());
    EXPECT_LE(apart.most, allowed.most) << net << " " << share << " " << i;
    EXPECT_LE(apart.share, allowed.share) << net << " " << share << " " << i;
  }
}

TEST(IntegerPrefix, IsWithinALevelOfTheSteps) {
  expect_levels_of_the_steps("resnet8", "0.15", {1, 0.01});  // one layer
  expect_levels_of_the_steps("mobilenet_v2_w025_small", "0.05", {1, 0.02});
}

// Levels that came out differently go on through the layers behind.
TEST(IntegerPrefix, StaysNearTheStepsOverManyLayers) {
  expect_levels_of_the_steps("resnet8", "0.5", {3, 0.1});
  expect_levels_of_the_steps("mobilenet_v2_w025_small", "0.5", {4, 0.3});
}

// What trains the rest trains the model: as the steps behind these values would.
TEST(IntegerPrefix, LeavesGradientsAndStatisticsInTheModel) {
  const at::Tensor images = some_images(8);
  std::map<std::string, at::Tensor> gradients[2], buffers[2];
  for (const bool in_integers : {false, true}) {
    auto prepared = settled_net("resnet8", "0.15");
    const IntegerPrefix::Found found = IntegerPrefix::find(*prepared);
    ASSERT_TRUE(found.prefix) << found.declined;
    const at::Tensor result = in_integers ? found.prefix->run({images}).at(0) : prepared->forward(images);
    result.square().sum().backward();
    for (const auto& each : prepared->named_parameters()) {
      gradients[in_integers].emplace(each.key(), each.value().grad());
    }
    for (const auto& each : prepared->named_buffers()) buffers[in_integers].emplace(each.key(), each.value().clone());
  }
  int64_t trained = 0;
  for (const auto& [name, wanted] : gradients[0]) {
    const at::Tensor& got = gradients[1].at(name);
    ASSERT_EQ(got.defined(), wanted.defined()) << name;
    if (!wanted.defined() || wanted.dim() < 2) continue;  // biases in front of a BatchNorm have noise
    ++trained;
    const double along = ((got * wanted).sum() / (got.norm() * wanted.norm())).item<double>();
    EXPECT_GT(along, 0.9) << name;
  }
  EXPECT_GT(trained, 3);
  int64_t moved = 0;
  for (const auto& [name, wanted] : buffers[0]) {
    if (name.find("running_mean") == std::string::npos) continue;
    ++moved;
    EXPECT_LT((buffers[1].at(name) - wanted).abs().max().item<double>(), 0.02) << name;
  }
  EXPECT_GT(moved, 3);
}

TEST(IntegerPrefix, DeclinesWhatIsNotFrozenWhole) {
  const auto declined = [](const std::shared_ptr<GraphModule>& prepared) {
    const IntegerPrefix::Found found = IntegerPrefix::find(*prepared);
    return found.prefix ? std::string() : found.declined;
  };
  EXPECT_EQ(declined(settled_net("resnet8", "0.5")), "");
  auto observing = settled_net("resnet8", "0.5");
  observing->apply(enable_observer);
  EXPECT_NE(declined(observing), "");
  auto trained = settled_net("resnet8", "0.5");
  unfreeze_bn_stats(*trained);
  EXPECT_NE(declined(trained), "");
  auto without_rounding = settled_net("resnet8", "0.5");
  without_rounding->apply(disable_fake_quant);
  EXPECT_NE(declined(without_rounding), "");
  EXPECT_NE(declined(prepared_net("resnet8")), "");
}

TEST(IntegerPrefix, RunsInATrainingOnceRangesAreFrozen) {
  at::manual_seed(2);
  const auto data = tensor_source("noise", {at::randn({32, 3, kImage, kImage})}, at::randint(10, {32}, at::kLong), 10);
  const auto trained = [&](bool in_integers) {
    at::manual_seed(5);
    NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
    QatOptions options;
    options.train.epochs = 2;
    options.train.batch_size = 8;
    options.train.learning_rate = 0.01;
    options.freeze = "0.5";
    options.freeze_observers_after = 1;
    options.integer_prefix = in_integers;
    auto model = export_module(*make_model("resnet8"), {at::zeros({2, 3, kImage, kImage})}, {.train = true});
    return train_qat(model, quantizer, data, options).training;
  };
  const TrainResult steps = trained(false);
  const TrainResult integers = trained(true);
  EXPECT_EQ(steps.epochs.at(0).loss, integers.epochs.at(0).loss);  // ranges are observed there
  EXPECT_NE(steps.epochs.at(1).loss, integers.epochs.at(1).loss);
  EXPECT_NEAR(steps.epochs.at(1).loss, integers.epochs.at(1).loss, 0.1);
}

}  // namespace
}  // namespace octet
