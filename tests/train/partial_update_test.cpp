#include "octet/train/partial_update.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <torch/optim/optimizer.h>

#include <cmath>

#include "octet/graph/record.h"
#include "octet/models/registry.h"
#include "octet/quantize/layer_weights.h"
#include "octet/quantize/learned_scales.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/optimizer.h"
#include "octet/train/qat.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

using test::fails_with;
using Values = std::map<std::string, at::Tensor>;

std::shared_ptr<GraphModule> net_of(const std::string& name, int64_t size) {
  at::manual_seed(5);
  ModelOptions choice;
  choice.num_classes = 8;
  return export_module(*make_model(name, choice), {at::zeros({2, 3, size, size})}, {.train = true});
}

std::shared_ptr<DataSource> noise_of(int64_t count, int64_t size) {
  at::manual_seed(2);
  return tensor_source("noise", {at::randn({count, 3, size, size})}, at::randint(8, {count}, at::kLong), 8);
}

NeutronQuantizer in_training() { return NeutronQuantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true); }

std::shared_ptr<GraphModule> net_in_training(const std::string& name, int64_t size) {
  NeutronQuantizer quantizer = in_training();
  auto prepared = move_exported_model_to_train(prepare_qat_pt2e(net_of(name, size), quantizer));
  for (at::Tensor& parameter : prepared->parameters()) {
    if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast));
  }
  return prepared;
}

Values values_now(const GraphModule& module) {
  Values all;
  for (const std::string& name : module.attr_names()) all[name] = module.attr(name).detach().clone();
  return all;
}

// Numbers of the channels that a state says to be trained, or not to be.
at::Tensor channels(const Values& state, const std::string& name, bool trained) {
  return state.at("trained_channels/" + name).ne(trained ? 0 : 1).nonzero().squeeze(1);
}

at::Tensor rows(const at::Tensor& value, const at::Tensor& which) { return value.detach().index_select(0, which); }

TEST(PartialUpdate, TakesTheChannelsThatWeighMost) {
  auto prepared = net_in_training("resnet8", 8);
  const std::vector<LayerWeight> layers = layer_weights(*prepared);
  ASSERT_GT(layers.size(), 5u);
  int64_t all = 0;
  {
    const at::NoGradGuard no_grad;
    for (const LayerWeight& layer : layers) {
      at::Tensor weight = layer.weight;
      all += layer.channels();
      weight.fill_(0.01);
      weight.select(0, layer.channels() - 1).fill_(-1);  // by magnitude
      weight.select(0, 1).fill_(0.5);
    }
  }
  PartialUpdate by_layer(*prepared, {.share = 0.01});
  EXPECT_EQ(by_layer.trained_channels(), all);
  by_layer.choose();
  EXPECT_EQ(by_layer.trained_channels(), static_cast<int64_t>(layers.size())) << "one of each at least";
  for (const LayerWeight& layer : layers) {
    EXPECT_EQ(channels(by_layer.state(), layer.name, true).item<int64_t>(), layer.channels() - 1);
  }
  const double two_of_each = 2.0 * static_cast<double>(layers.size()) / static_cast<double>(all);
  {
    const at::NoGradGuard no_grad;
    at::Tensor(layers[2].weight).mul_(0.001);
  }
  PartialUpdate by_network(*prepared, {.share = two_of_each, .scope = UpdateScope::kNetwork});
  by_network.choose();
  EXPECT_EQ(by_network.trained_channels(), 2 * static_cast<int64_t>(layers.size()));
  // All have two that outweigh the rest, but for the layer that was made small: its places go to others.
  for (const LayerWeight& layer : layers) {
    const int64_t trained = channels(by_network.state(), layer.name, true).numel();
    if (layer.name == layers[2].name) {
      EXPECT_EQ(trained, 0);
    } else {
      EXPECT_GE(trained, 2) << layer.name;
    }
  }
}

TEST(PartialUpdate, TakesWholeLayersWithinTheShare) {
  auto prepared = net_in_training("resnet8", 8);
  const std::vector<LayerWeight> layers = layer_weights(*prepared);
  PartialUpdate update(*prepared, {.share = 0.3, .scope = UpdateScope::kWholeLayers});
  update.choose();
  for (const LayerWeight& layer : layers) {
    const int64_t trained = channels(update.state(), layer.name, true).numel();
    EXPECT_TRUE(trained == 0 || trained == layer.channels()) << layer.name;
  }
  EXPECT_GT(update.trained_channels(), 0);
  EXPECT_LE(static_cast<double>(update.trained_channels()), 0.3 * static_cast<double>(update.all_channels()) + 1);
}

TEST(PartialUpdate, GivesTrainedChannelsTheGradientOfFullTraining) {
  for (const char* name : {"resnet8", "mobilenet_v2_w025"}) {
    const int64_t size = 32;
    const at::Tensor x = at::randn({4, 3, size, size}).contiguous(at::MemoryFormat::ChannelsLast);
    std::vector<Values> gradients;
    Values state;
    for (const bool partly : {false, true}) {
      auto prepared = net_in_training(name, size);
      PartialUpdate update(*prepared, {.share = 0.3});
      if (partly) {
        update.choose();
        state = update.state();
      }
      prepared->forward(x).square().sum().backward();
      Values& found = gradients.emplace_back();
      for (const std::string& attribute : prepared->attr_names()) {
        if (prepared->attr(attribute).grad().defined()) found[attribute] = prepared->attr(attribute).grad().clone();
      }
    }
    ASSERT_FALSE(state.empty());
    for (const auto& [attribute, whole] : gradients[0]) {
      const at::Tensor& part = gradients[1].at(attribute);
      const double tolerance = 1e-4 * whole.abs().max().item<double>();
      if (!state.contains("trained_channels/" + attribute)) {
        EXPECT_TRUE(whole.dim() == 1 || at::allclose(part, whole, 1e-3, tolerance)) << attribute;
        continue;
      }
      const at::Tensor trained = channels(state, attribute, true), resting = channels(state, attribute, false);
      EXPECT_TRUE(at::allclose(rows(part, trained), rows(whole, trained), 1e-3, tolerance)) << attribute;
      EXPECT_EQ(rows(part, resting).count_nonzero().item<int64_t>(), 0) << attribute;
      EXPECT_GT(rows(whole, resting).count_nonzero().item<int64_t>(), 0) << attribute;
    }
  }
}

QatOptions two_epochs(OptimizerKind optimizer) {
  QatOptions options;
  options.train.epochs = 2;
  options.train.batch_size = 16;
  options.train.learning_rate = optimizer == OptimizerKind::kSgd ? 0.05 : 0.01;
  options.train.optimizer.kind = optimizer;
  options.train.optimizer.weight_decay = 0.1;
  options.update = {.share = 0.25, .every = 3};
  return options;
}

// Step by step: what rests does not move, nor what the optimizer has gathered of it.
TEST(PartialUpdate, LeavesRestingChannelsAsTheyAre) {
  for (const OptimizerKind optimizer : {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    for (const UpdateScope scope : {UpdateScope::kLayer, UpdateScope::kNetwork, UpdateScope::kWholeLayers}) {
      QatOptions options = two_epochs(optimizer);
      options.update.scope = scope;
      options.freeze_bn_after = 1;
      auto prepared = net_of("resnet8", 16);
      NeutronQuantizer quantizer = in_training();
      Values before, chosen;
      std::map<std::string, at::Tensor> gathered;
      const auto keep = [&](const ModelHandle& model, const TrainState& state) {
        before = values_now(*prepared);
        chosen = state_of(model);
        gathered.clear();
        for (const auto& [name, value] : optimizer_state(*state.optimizer, model.parameters)) {
          gathered[name] = value.clone();
        }
      };
      int64_t moved = 0, steps = 0;
      TrainHooks hooks;
      hooks.on_start = [&](const ModelHandle& model, TrainState& state) { keep(model, state); };
      hooks.on_state = [&](const ModelHandle& model, const TrainState& state) {
        ++steps;
        for (const LayerWeight& layer : layer_weights(*prepared)) {
          const at::Tensor resting = channels(chosen, layer.name, false), trained = channels(chosen, layer.name, true);
          EXPECT_TRUE(at::equal(rows(layer.weight, resting), rows(before.at(layer.name), resting))) << layer.name;
          if (!at::equal(rows(layer.weight, trained), rows(before.at(layer.name), trained))) ++moved;
          for (size_t i = 0; i < model.parameters.size(); ++i) {
            if (!model.parameters[i].is_same(layer.weight)) continue;
            for (const auto& [name, value] : optimizer_state(*state.optimizer, model.parameters)) {
              if (name.rfind(str(i, '/'), 0) != 0 || value.sizes() != layer.weight.sizes()) continue;
              const at::Tensor was = gathered.contains(name) ? gathered.at(name) : at::zeros_like(value);
              EXPECT_TRUE(at::equal(rows(value, resting), rows(was, resting))) << name;
            }
          }
        }
        keep(model, state);
      };
      train_qat(prepared, quantizer, noise_of(64, 16), options, hooks);
      EXPECT_GT(steps, 7);
      EXPECT_GT(moved, steps - 3);
    }
  }
}

// A part of the weight once statistics are frozen: gamma rests with its channel, and is trained before.
TEST(PartialUpdate, LeavesGammaAloneWhereItIsAPartOfTheWeight) {
  for (const bool freezes : {false, true}) {
    QatOptions options = two_epochs(OptimizerKind::kSgd);
    if (freezes) options.freeze_bn_after = 0;
    auto prepared = net_of("resnet8", 16);
    NeutronQuantizer quantizer = in_training();
    std::vector<at::Tensor> before;
    Values chosen;
    bool all_rested = true, any_moved = false;
    TrainHooks hooks;
    const auto keep = [&](const ModelHandle& model) {
      chosen = state_of(model);
      before.clear();
      for (const LayerWeight& layer : layer_weights(*prepared)) {
        before.push_back(layer.gamma.defined() ? layer.gamma.detach().clone() : at::Tensor());
      }
    };
    hooks.on_start = [&](const ModelHandle& model, TrainState&) { keep(model); };
    hooks.on_state = [&](const ModelHandle& model, const TrainState&) {
      const std::vector<LayerWeight> layers = layer_weights(*prepared);
      for (size_t i = 0; i < layers.size(); ++i) {
        if (!layers[i].gamma.defined()) continue;
        const at::Tensor resting = channels(chosen, layers[i].name, false);
        all_rested = all_rested && at::equal(rows(layers[i].gamma, resting), rows(before[i], resting));
        any_moved = any_moved || !at::equal(layers[i].gamma, before[i]);
      }
      keep(model);
    };
    train_qat(prepared, quantizer, noise_of(64, 16), options, hooks);
    EXPECT_EQ(all_rested, freezes);
    EXPECT_TRUE(any_moved);
  }
}

TEST(PartialUpdate, OfAllIsFullTrainingToTheBit) {
  std::vector<Values> ends;
  for (const bool given : {false, true}) {
    QatOptions options = two_epochs(OptimizerKind::kSgd);
    options.update = {};
    if (given) options.update = {.share = 1, .scope = UpdateScope::kNetwork, .every = 1};
    auto prepared = net_of("resnet8", 16);
    NeutronQuantizer quantizer = in_training();
    train_qat(prepared, quantizer, noise_of(64, 16), options);
    ends.push_back(values_now(*prepared));
  }
  for (const auto& [name, value] : ends[0]) EXPECT_TRUE(at::equal(value, ends[1].at(name))) << name;
}

TEST(PartialUpdate, LearnedScalesRestWithTheirChannels) {
  NeutronQuantizer quantizer = in_training();
  LearnedScalesQuantizer with_learned_scales(quantizer);
  auto prepared = move_exported_model_to_train(prepare_qat_pt2e(net_of("resnet8", 16), with_learned_scales));
  at::manual_seed(3);
  const at::Tensor x = at::randn({8, 3, 16, 16});
  prepared->forward(x);
  std::vector<at::Tensor> parameters = prepared->parameters();
  for (const at::Tensor& scale : start_learning_scales(*prepared)) parameters.push_back(scale);
  const auto optimizer = make_optimizer(parameters, {}, 0.01);
  PartialUpdate update(*prepared, {.share = 0.25});
  update.choose();
  const std::vector<LayerWeight> layers = layer_weights(*prepared);
  int64_t moved = 0;
  for (int step = 0; step < 3; ++step) {
    optimizer->zero_grad();
    prepared->forward(x).square().sum().backward();
    std::vector<at::Tensor> before;
    for (const LayerWeight& layer : layers) {
      for (const at::Tensor& each : layer.grid) before.push_back(each.detach().clone());
    }
    update.step(*optimizer);
    size_t next = 0;
    for (const LayerWeight& layer : layers) {
      const at::Tensor resting = channels(update.state(), layer.name, false);
      for (const at::Tensor& each : layer.grid) {
        const at::Tensor& was = before.at(next++);
        EXPECT_TRUE(at::equal(rows(each, resting), rows(was, resting))) << layer.name;
        if (!at::equal(each, was)) ++moved;
      }
    }
    EXPECT_GT(next, 5u);
  }
  EXPECT_GT(moved, 10);
}

TEST(PartialUpdate, RefusesWhatIsNoShare) {
  auto prepared = net_in_training("resnet8", 8);
  for (const double share : {0.0, -0.5, 1.5, std::nan("")}) {
    EXPECT_TRUE(
        fails_with([&] { PartialUpdate(*prepared, {.share = share}); }, "share: expected over 0 and at most 1"));
  }
  EXPECT_TRUE(fails_with([&] { PartialUpdate(*prepared, {.share = 0.5, .every = 0}); }, "expected 1 or more, got 0"));
  EXPECT_TRUE(fails_with([] { update_scope("channel"); }, "layer, network, whole-layers"));
  PartialUpdate update(*prepared, {.share = 0.5});
  Values none;
  EXPECT_TRUE(fails_with([&] { update.take_state(none, "FILE"); }, "FILE"));
}

}  // namespace
}  // namespace octet
