// Training of graphs: float, then quantization-aware.
#include "octet/train/qat.h"

#include <gtest/gtest.h>

#include "octet/graph/record.h"
#include "octet/models/registry.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/dead_channels.h"
#include "octet/train/statistics_gap.h"

namespace octet {
namespace {

/// Eight bright spots, one a class, in noise.
std::shared_ptr<DataSource> spots(int64_t count, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  at::Tensor images = 0.3 * at::randn({count, 3, 16, 16}, generator, at::kFloat);
  at::Tensor labels = at::randint(8, {count}, generator, at::kLong);
  for (int64_t i = 0; i < count; ++i) {
    int64_t label = labels[i].item<int64_t>();
    images[i].slice(1, label / 4 * 8, label / 4 * 8 + 8).slice(2, label % 4 * 4, label % 4 * 4 + 4).add_(1.5);
  }
  return tensor_source("spots", {images}, labels, 8);
}

TrainOptions options_for(int64_t epochs, double rate) {
  TrainOptions options;
  options.epochs = epochs;
  options.batch_size = 32;
  options.learning_rate = rate;
  return options;
}

std::shared_ptr<GraphModule> float_graph() {
  at::manual_seed(5);
  ModelOptions choice;
  choice.num_classes = 8;
  auto net = make_model("resnet8", choice);
  return export_module(*net, {at::zeros({2, 3, 16, 16})}, {.train = true});
}

std::map<std::string, at::Tensor> buffers(const GraphModule& module, const std::string& part) {
  std::map<std::string, at::Tensor> found;
  for (const auto& item : module.named_buffers()) {
    if (item.key().find(part) != std::string::npos) found[item.key()] = item.value().detach().clone();
  }
  return found;
}

bool equal(const std::map<std::string, at::Tensor>& a, const std::map<std::string, at::Tensor>& b) {
  if (a.empty() || a.size() != b.size()) return false;
  return std::all_of(a.begin(), a.end(), [&](const auto& item) { return at::equal(item.second, b.at(item.first)); });
}

TEST(TrainGraph, GraphsTrainAsModulesDo) {
  auto graph = float_graph();
  TrainResult result = train(model_handle(graph), spots(640, 1), options_for(5, 0.05), {}, spots(200, 2));
  EXPECT_LT(result.epochs.back().loss, 0.7 * result.epochs.front().loss);
  EXPECT_GT(result.epochs.back().evaluation->score("top1"), 0.8);
}

// A model that saw few batches has statistics that are not its own; the look at them leaves it as it was.
TEST(StatisticsGap, NamesTheLayerWhoseVariancesDoNotFit) {
  auto graph = float_graph();
  const Loader loader(spots(64, 1), {.batch_size = 32, .shuffle = true});
  TrainOptions options = options_for(4, 0.02);
  options.reestimate_batches = 4;
  train(model_handle(graph), spots(320, 1), options);
  graph->train(false);
  EXPECT_LT(statistics_gap(graph, loader, true).ratio, 2);
  const at::NoGradGuard no_grad;
  graph->attr("stack2.bn1.running_var").mul_(30);
  std::map<std::string, at::Tensor> before;
  for (const std::string& name : graph->attr_names()) before[name] = graph->attr(name).clone();
  const StatisticsGap gap = statistics_gap(graph, loader, true);
  EXPECT_EQ(gap.where, "stack2.bn1");
  EXPECT_TRUE(gap.is_wide());
  EXPECT_NEAR(gap.ratio, 30, 15);
  EXPECT_NE(text(gap).find("at 'stack2.bn1'"), std::string::npos);
  EXPECT_FALSE(graph->is_training());
  for (const auto& [name, value] : before) EXPECT_TRUE(at::equal(graph->attr(name), value)) << name;
}

// One channel's weights beside those of a thousand times the size, on one grid: nothing of it is left.
TEST(DeadChannels, AreThoseThatRoundToNothing) {
  auto graph = float_graph();
  {
    const at::NoGradGuard no_grad;
    graph->attr("stack2.bn1.weight")[3] = 1e-4;
    graph->attr("stack2.bn1.weight")[5] = 1e-4;
  }
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
  auto prepared = move_exported_model_to_train(prepare_qat_pt2e(graph, quantizer));
  prepared->forward(spots(8, 1)->get({0, 1, 2, 3}).inputs.at(0));
  EXPECT_EQ(dead_channels(*prepared).dead, 0) << "a scale a channel";
  for (const Node* node : prepared->graph().nodes()) {
    if (node->kind() != NodeKind::kCallModule) continue;
    const auto* pair = dynamic_cast<const QatConvBn*>(prepared->callable(node->target()).get());
    FakeQuantize* rounding = pair != nullptr ? known_rounding(pair->weight_fake_quant().get()) : nullptr;
    if (rounding != nullptr) rounding->scale.fill_(rounding->scale.max());
  }
  const DeadChannels found = dead_channels(*prepared);
  EXPECT_EQ(found.dead, 2);
  EXPECT_EQ(found.layers, 1);
  EXPECT_EQ(found.worst, "stack2.conv1");
  EXPECT_NE(text(found).find("2 of "), std::string::npos);
  freeze_bn_stats(*prepared);
  EXPECT_EQ(dead_channels(*prepared).dead, 0) << "statistics stay the float model's";
}

TEST(TrainQat, FreezesRangesAndStatisticsAndConverts) {
  auto graph = float_graph();
  train(model_handle(graph), spots(640, 1), options_for(5, 0.05));
  const Evaluation plain = evaluate(model_handle(graph), spots(300, 2));
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
  auto prepared = graph->copy();
  QatOptions options;
  options.train = options_for(4, 0.005);
  options.freeze_observers_after = 2;
  options.freeze_bn_after = 3;
  std::vector<std::map<std::string, at::Tensor>> scales, means;
  TrainHooks hooks;
  hooks.on_epoch_end = [&](const EpochInfo& info) {
    scales.push_back(buffers(*prepared, "scale"));
    means.push_back(buffers(*prepared, "running_mean"));
    ASSERT_TRUE(info.evaluation.has_value());
  };
  QatResult result = train_qat(prepared, quantizer, spots(640, 1), options, hooks, spots(300, 2));
  ASSERT_EQ(scales.size(), 4u);
  EXPECT_FALSE(equal(scales[0], scales[1]));
  EXPECT_FALSE(equal(means[1], means[2]));
  EXPECT_TRUE(equal(means[2], means[3]));
  size_t unmoved = 0;
  for (const auto& [name, scale] : scales[1]) unmoved += at::equal(scale, scales[3].at(name)) ? 1 : 0;
  EXPECT_EQ(unmoved, scales[1].size());
  const Evaluation quantized = evaluate(model_handle(result.quantized), spots(300, 2));
  EXPECT_GT(quantized.score("top1"), plain.score("top1") - 0.02);
  EXPECT_NEAR(quantized.score("top1"), result.training.epochs.back().evaluation->score("top1"), 0.02);
}

}  // namespace
}  // namespace octet
