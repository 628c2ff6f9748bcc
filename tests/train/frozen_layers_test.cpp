#include "octet/quantize/frozen_layers.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "octet/graph/record.h"
#include "octet/models/registry.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/qat.h"

namespace octet {
namespace {

std::shared_ptr<GraphModule> net_to_freeze() {
  at::manual_seed(5);
  ModelOptions choice;
  choice.num_classes = 8;
  return export_module(*make_model("resnet8", choice), {at::zeros({2, 3, 16, 16})}, {.train = true});
}

std::shared_ptr<DataSource> noise_data(int64_t count) {
  at::manual_seed(2);
  return tensor_source("noise", {at::randn({count, 3, 16, 16})}, at::randint(8, {count}, at::kLong), 8);
}

QatOptions one_epoch() {
  QatOptions options;
  options.train.batch_size = 16;
  options.train.learning_rate = 0.05;
  options.train.optimizer.weight_decay = 0.1;
  return options;
}

using NamedTensors = std::map<std::string, at::Tensor>;

NamedTensors values_of(const GraphModule& module) {
  NamedTensors all;
  for (const std::string& name : module.attr_names()) all[name] = module.attr(name).detach().clone();
  return all;
}

// Names of what is no longer what it was.
std::vector<std::string> moved(const NamedTensors& before, const GraphModule& after) {
  std::vector<std::string> names;
  for (const auto& [name, value] : before) {
    if (value.is_floating_point() && !at::equal(value, after.attr(name))) names.push_back(name);
  }
  return names;
}

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void expect_half_trained(const FrozenLayers& frozen, const std::vector<std::string>& changed) {
  EXPECT_EQ(frozen.layers, frozen.all_layers / 2);
  ASSERT_FALSE(frozen.parameters.empty());
  for (const std::string& name : frozen.parameters) {
    EXPECT_FALSE(holds(changed, name)) << name;
    const std::string module = name.substr(0, name.rfind('.'));
    EXPECT_FALSE(holds(changed, module + ".running_mean")) << name;
    EXPECT_FALSE(holds(changed, module + ".running_var")) << name;
  }
  EXPECT_TRUE(std::any_of(changed.begin(), changed.end(),
                          [](const std::string& name) { return name.find("weight") != std::string::npos; }));
  EXPECT_TRUE(std::any_of(changed.begin(), changed.end(),
                          [](const std::string& name) { return name.find("running_mean") != std::string::npos; }));
}

TEST(FrozenLayers, StayAsTheyAreInQat) {
  auto model = net_to_freeze();
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
  const FrozenLayers frozen = freeze_layers(*prepare_qat_pt2e(model->copy(), quantizer), "0.5");
  QatOptions options = one_epoch();
  options.freeze = "0.5";
  auto prepared = model->copy();
  NamedTensors before;
  TrainHooks hooks;
  hooks.on_start = [&](const ModelHandle&, TrainState&) { before = values_of(*prepared); };
  const QatResult result = train_qat(prepared, quantizer, noise_data(64), options, hooks);
  expect_half_trained(frozen, moved(before, *prepared));
  for (const std::string& name : frozen.parameters) EXPECT_TRUE(prepared->attr(name).requires_grad()) << name;
  EXPECT_TRUE(is_quantized(*result.quantized));
}

TEST(FrozenLayers, StayAsTheyAreInFloat) {
  auto model = net_to_freeze();
  const NamedTensors before = values_of(*model);
  const FrozenLayers frozen = freeze_layers(*model, "0.5");
  train(model_handle(model), noise_data(64), one_epoch().train);
  expect_half_trained(frozen, moved(before, *model));
}

TEST(FrozenLayers, LeaveNoRecordBeforeTheFirstTrainedOne) {
  auto model = net_to_freeze();
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
  auto prepared = move_exported_model_to_train(prepare_qat_pt2e(model, quantizer));
  const FrozenLayers frozen = freeze_layers(*prepared, "0.5");
  int64_t unrecorded = 0;
  int64_t recorded = 0;
  prepared->run_observed({at::randn({2, 3, 16, 16})}, [&](const Node& node, const c10::IValue& value) {
    if (node.is_get_attr() || !value.isTensor() || value.toTensor().dim() != 4) return;
    ++(value.toTensor().requires_grad() ? recorded : unrecorded);
  });
  EXPECT_GT(unrecorded, frozen.layers);
  EXPECT_GT(recorded, 0);
}

TEST(FrozenLayers, AreNamedByModules) {
  auto model = net_to_freeze();
  std::string parameter;
  for (const std::string& name : model->attr_names()) {
    if (name.find(".weight") != std::string::npos) parameter = name;
  }
  const std::string module = parameter.substr(0, parameter.rfind('.'));
  const FrozenLayers frozen = freeze_layers(*model, module);
  EXPECT_TRUE(holds(frozen.parameters, parameter));
  for (const std::string& name : frozen.parameters) EXPECT_EQ(name.rfind(module + ".", 0), 0U) << name;
  EXPECT_THROW(freeze_layers(*model, module.substr(0, module.size() - 1)), Error);  // part of a name is none
}

TEST(FrozenLayers, RefuseWhatFreezesNothingOrAll) {
  auto model = net_to_freeze();
  for (const char* which : {"0", "1", "-0.5", "nan", "0.01", "", "no.such.module", ","}) {
    EXPECT_THROW(freeze_layers(*model, which), Error) << which;
  }
  std::string all;
  for (const std::string& name : model->attr_names()) all += name + ",";
  EXPECT_THROW(freeze_layers(*model, all), Error);
  for (const at::Tensor& parameter : model->parameters()) EXPECT_TRUE(parameter.requires_grad());
}

}  // namespace
}  // namespace octet
