// What a recipe adds to the loop: averages, accumulation, early stopping, distillation, statistics found anew, learned
// scales.
#include <gtest/gtest.h>

#include <numeric>

#include "octet/graph/record.h"
#include "octet/models/registry.h"
#include "octet/quantize/qdq.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/distill.h"
#include "octet/train/qat.h"
#include "octet/train/tasks.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

using test::fails_with;

// Points whose class is the sign of a sum, with labels or without.
std::shared_ptr<DataSource> halves(int64_t count, uint64_t seed, bool with_labels = true) {
  auto generator = at::detail::createCPUGenerator(seed);
  const at::Tensor points = at::randn({count, 4}, generator, at::kFloat);
  return tensor_source("halves", {points}, with_labels ? points.sum(1).gt(0).to(at::kLong) : at::Tensor(),
                       with_labels ? 2 : 0);
}

struct Line {
  at::Tensor weight;
  explicit Line(uint64_t seed = 1) {
    auto generator = at::detail::createCPUGenerator(seed);
    weight = at::randn({2, 4}, generator, at::kFloat).requires_grad_(true);
  }
  ModelHandle handle() {
    return {[this](const std::vector<at::Tensor>& in) { return at::linear(in[0], weight); }, {weight}, [](bool) {}};
  }
};

TrainOptions options_of(int64_t epochs, int64_t batch_size) {
  TrainOptions options;
  options.epochs = epochs;
  options.batch_size = batch_size;
  options.learning_rate = 0.1;
  options.schedule = ScheduleKind::kConstant;
  return options;
}

TEST(Recipe, AccumulatedBatchesAreOneOfTheirSize) {
  Line whole, parts;
  TrainOptions options = options_of(3, 32);
  train(whole.handle(), halves(128, 1), options);
  options.batch_size = 8;
  options.accumulate = 4;
  std::vector<int64_t> steps;
  TrainHooks hooks;
  hooks.on_step = [&](const StepInfo& info) {
    EXPECT_EQ(info.steps_per_epoch, 4);
    steps.push_back(info.step);
  };
  train(parts.handle(), halves(128, 1), options, hooks);
  EXPECT_EQ(steps, (std::vector<int64_t>{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}));
  EXPECT_TRUE(at::allclose(parts.weight, whole.weight, 1e-5, 1e-6));
  EXPECT_TRUE(
      fails_with([&] { train(parts.handle(), halves(24, 1), options); }, "samples: expected 4 batches of 8, got 24"));
}

// Fifty samples in batches of eight, four a step: a step of 32 and one of 18, the mean of each.
TEST(Recipe, AStepThatIsNotFullIsTheMeanOfItsSamples) {
  Line whole, parts;
  TrainOptions options = options_of(2, 32);
  options.drop_last = false;
  train(whole.handle(), halves(50, 1), options);
  options.batch_size = 8;
  options.accumulate = 4;
  train(parts.handle(), halves(50, 1), options);
  EXPECT_TRUE(at::allclose(parts.weight, whole.weight, 1e-5, 1e-6));
}

TEST(Recipe, TheMovingAverageIsWhatIsGiven) {
  Line line;
  TrainOptions options = options_of(2, 16);
  options.average = 0.9;
  at::Tensor average, raw;
  int64_t step = 0;
  TrainHooks hooks;
  hooks.on_step = [&](const StepInfo&) {
    raw = line.weight.detach().clone();
    ++step;
    const double kept = std::min(0.9, (1.0 + static_cast<double>(step)) / (10.0 + static_cast<double>(step)));
    average = step == 1 ? raw.clone() : average * kept + raw * (1 - kept);
  };
  const auto data = halves(64, 1), held_out = halves(200, 2);
  const TrainResult result = train(line.handle(), data, options, hooks, held_out);
  EXPECT_EQ(step, 8);
  EXPECT_FALSE(at::allclose(line.weight, raw));
  EXPECT_TRUE(at::allclose(line.weight, average, 1e-5, 1e-6));
  const EvaluateOptions as_measured = {.batch_size = evaluation_batch(options.batch_size)};
  EXPECT_EQ(result.epochs.back().evaluation->loss, evaluate(line.handle(), held_out, as_measured).loss);
  options.average = 1;
  EXPECT_TRUE(fails_with([&] { train(line.handle(), data, options); }, "decay of the moving average"));
}

TEST(Recipe, EarlyStoppingGivesTheBestEpoch) {
  Line line;
  TrainOptions options = options_of(50, 16);
  options.learning_rate = 0.5;
  options.patience = 2;
  // The rate rises until the weights leave what is best.
  std::vector<at::Tensor> behind;
  TrainHooks hooks;
  hooks.on_epoch_begin = [&](int64_t epoch) {
    if (epoch < 3) return;
    const at::NoGradGuard no_grad;
    line.weight.neg_();
  };
  hooks.on_epoch_end = [&](const EpochInfo&) { behind.push_back(line.weight.detach().clone()); };
  const TrainResult result = train(line.handle(), halves(64, 1), options, hooks, halves(300, 2));
  ASSERT_LT(result.epochs.size(), 50u);
  EXPECT_EQ(static_cast<int64_t>(result.epochs.size()), result.best_epoch + 3);
  EXPECT_TRUE(at::equal(line.weight, behind.at(static_cast<size_t>(result.best_epoch))));
}

TEST(Recipe, DistillationComparesSoftenedAnswers) {
  Line teacher(5);
  const at::Tensor x = at::randn({6, 4}), logits = at::randn({6, 2}).requires_grad_(true);
  const Batch batch{{x}, at::randint(2, {6}, at::kLong)};
  const Task plain = classification();
  const Task task = distilled(plain, teacher.handle(), {.temperature = 3, .weight = 0.25});
  const at::Tensor wanted = at::softmax(at::linear(x, teacher.weight).detach() / 3, 1);
  const at::Tensor divergence = (wanted * (wanted.log() - at::log_softmax(logits / 3, 1))).sum(1).mean();
  const double all = 0.75 * plain.loss(logits, batch).item<double>() + 0.25 * 9 * divergence.item<double>();
  at::Tensor loss = task.loss(logits, batch);
  EXPECT_NEAR(loss.item<double>(), all, 1e-5);
  loss.backward();
  EXPECT_FALSE(teacher.weight.grad().defined());
  EXPECT_EQ(task.loss_sum(logits, batch), plain.loss_sum(logits, batch)) << "what is told stays the labels'";
  EXPECT_TRUE(
      fails_with([&] { distilled(plain, teacher.handle(), {.temperature = 0}); }, "temperature: expected over 0"));
  EXPECT_TRUE(fails_with([&] { distilled(plain, teacher.handle(), {.weight = 1.5}); }, "weight: expected from 0 to 1"));
}

TEST(Recipe, DistillationNeedsNoLabels) {
  Line teacher(5), student(6);
  TrainOptions options = options_of(30, 16);
  options.learning_rate = 0.3;
  options.task = distilled(classification(), teacher.handle(), {.temperature = 1}, /*has_labels=*/false);
  const TrainResult result = train(student.handle(), halves(256, 1, false), options, {}, halves(300, 2, false));
  EXPECT_GT(result.epochs.back().evaluation->score("agreement"), 0.98);
  EXPECT_LT(result.epochs.back().evaluation->loss, 0.1 * result.epochs.front().evaluation->loss);
}

TEST(Recipe, ClassWeightsCountInTrainingAlone) {
  const at::Tensor weights = at::tensor({1.0F, 3.0F}), logits = at::randn({6, 2});
  const Batch batch{{at::zeros({6, 1})}, at::tensor({0, 1, 0, 0, 1, 0}, at::kLong)};
  const Task task = classification(0, weights);
  const at::Tensor log = at::log_softmax(logits, 1).gather(1, batch.targets.unsqueeze(1)).squeeze(1);
  const at::Tensor each = weights.index_select(0, batch.targets);
  EXPECT_NEAR(task.loss(logits, batch).item<double>(), (-log * each).sum().item<double>() / each.sum().item<double>(),
              1e-6);
  EXPECT_NEAR(task.loss_sum(logits, batch), -log.sum().item<double>(), 1e-5);
  EXPECT_TRUE(fails_with([&] { classification(0, at::ones({3})).loss(logits, batch); }, "class weights: expected 2"));
  const auto data = tensor_source("few", {at::zeros({5, 1})}, at::tensor({0, 0, 2, 0, 0}, at::kLong));
  EXPECT_TRUE(at::allclose(balanced_class_weights(*data), at::tensor({5.0F / 12, 0.0F, 5.0F / 3})));
}

std::shared_ptr<DataSource> images(int64_t count) {
  auto generator = at::detail::createCPUGenerator(4);
  return tensor_source("images", {at::randn({count, 3, 8, 8}, generator, at::kFloat)},
                       at::randint(4, {count}, generator, at::kLong), 4);
}

std::shared_ptr<GraphModule> resnet() {
  at::manual_seed(5);
  ModelOptions choice;
  choice.num_classes = 4;
  return export_module(*make_model("resnet8", choice), {at::zeros({2, 3, 8, 8})}, {.train = true});
}

// The first BatchNorm stands behind the first convolution: its statistics are those of all samples there.
TEST(Recipe, StatisticsAreThoseOfTheWeights) {
  const auto graph = resnet();
  const auto data = images(64);
  TrainOptions options = options_of(1, 16);
  options.reestimate_batches = 4;
  train(model_handle(graph), data, options);
  const std::vector<RunningStatistics> found = running_statistics(*graph);
  ASSERT_FALSE(found.empty());
  const Node* first = nullptr;
  for (const Node* node : graph->graph().nodes()) {
    if (first == nullptr && node->is(Trait::kBatchNorm)) first = node;
  }
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->arg("momentum").to_double(), 0.1) << "as it was";
  at::Tensor into;
  std::vector<int64_t> all(64);
  std::iota(all.begin(), all.end(), 0);
  graph->train(false);
  graph->run_observed(data->get(all).inputs, [&](const Node& node, const c10::IValue& value) {
    if (&node == first->arg(0).node()) into = value.toTensor().detach();
  });
  const at::Tensor mean = into.mean({0, 2, 3});
  EXPECT_TRUE(at::allclose(found[0].mean, mean, 1e-4, 1e-5));
  const at::Tensor variance = (into - mean.view({1, -1, 1, 1})).square().mean({0, 2, 3});
  EXPECT_TRUE(at::allclose(found[0].variance, variance, 2e-3, 1e-5));
}

TEST(Recipe, FrozenStatisticsAreFoundAnewWhereTheyFreeze) {
  std::vector<std::vector<at::Tensor>> means;  // behind each epoch
  for (const int64_t batches : {0, 4}) {
    auto graph = resnet();
    NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
    QatOptions options;
    options.train = options_of(3, 16);
    options.train.learning_rate = 0.02;
    options.train.reestimate_batches = batches;
    options.freeze_bn_after = 1;
    TrainHooks hooks;
    means.emplace_back();
    hooks.on_epoch_end = [&](const EpochInfo&) {
      means.back().push_back(running_statistics(*graph).at(0).mean.clone());
    };
    train_qat(graph, quantizer, images(64), options, hooks);
  }
  EXPECT_TRUE(at::equal(means[0][0], means[1][0]));
  EXPECT_TRUE(at::equal(means[0][0], means[0][1]));
  EXPECT_FALSE(at::equal(means[1][0], means[1][1]));
  EXPECT_TRUE(at::equal(means[1][1], means[1][2]));
}

// A run that ends, or whose best epoch lies, before they freeze: at its end.
TEST(Recipe, StatisticsAreFoundAnewWhereARunEndsBeforeTheyFreeze) {
  std::vector<at::Tensor> means;
  for (const int64_t batches : {0, 4}) {
    auto graph = resnet();
    NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
    QatOptions options;
    options.train = options_of(50, 16);
    options.train.learning_rate = 1e-9;  // no epoch is better than the first
    options.train.patience = 2;
    options.train.reestimate_batches = batches;
    options.freeze_bn_after = 40;
    const auto result = train_qat(graph, quantizer, images(64), options, {}, images(64));
    ASSERT_LT(result.training.epochs.size(), 40u);
    means.push_back(running_statistics(*graph).at(0).mean.clone());
  }
  EXPECT_FALSE(at::equal(means[0], means[1]));
}

std::vector<at::Tensor> scales_of(const GraphModule& graph) {
  std::vector<at::Tensor> found;
  for (const auto& item : graph.named_buffers()) {
    if (item.key().ends_with(".scale")) found.push_back(item.value().detach().clone());
  }
  return found;
}

TEST(Recipe, LearnedScalesMoveAndAreWhatConvertWrites) {
  auto graph = resnet();
  const auto data = images(64);
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
  QatOptions options;
  options.train = options_of(3, 16);
  options.train.learning_rate = 0.02;
  options.learn_scales = true;
  std::vector<std::vector<at::Tensor>> scales;
  TrainHooks hooks;
  hooks.on_epoch_end = [&](const EpochInfo&) { scales.push_back(scales_of(*graph)); };
  const QatResult result = train_qat(graph, quantizer, data, options, hooks, data);
  size_t moved = 0;
  for (size_t i = 0; i < scales[0].size(); ++i) moved += at::equal(scales[0][i], scales[2][i]) ? 0 : 1;
  EXPECT_GT(moved, scales[0].size() / 2);
  EXPECT_TRUE(is_quantized(*result.quantized));
  // In eval mode the prepared model computes what convert has written.
  graph->train(false);
  const std::vector<at::Tensor> inputs = data->get({0, 1, 2, 3, 4, 5, 6, 7}).inputs;
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::allclose(graph->run(inputs)[0], result.quantized->run(inputs)[0], 1e-4, 1e-5));
}

}  // namespace
}  // namespace octet
