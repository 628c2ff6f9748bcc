// Training of graphs: float, then quantization-aware.
#include "octet/train/qat.h"

#include <gtest/gtest.h>

#include "octet/graph/record.h"
#include "octet/models/registry.h"
#include "octet/support/error.h"
#include "octet/targets/neutron/neutron_quantizer.h"

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
