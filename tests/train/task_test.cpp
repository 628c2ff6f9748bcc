// The loop knows a task by its loss and its metrics alone.
#include "octet/train/task.h"

#include <gtest/gtest.h>

#include <sstream>

#include "octet/train/progress.h"
#include "octet/train/trainer.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

/// Numbers [N, ...] against targets of the same shape.
Task regression() {
  Task task;
  task.name = "regression";
  task.targets = "targets";
  task.loss = [](const at::Tensor& output, const Batch& batch) { return at::mse_loss(output, batch.targets); };
  task.loss_sum = [](const at::Tensor& output, const Batch& batch) {
    return (output - batch.targets).square().mean(1).sum().item<double>();
  };
  task.metrics = {{"mae", "mean error",
                   [](const at::Tensor& output, const Batch& batch) {
                     return (output - batch.targets).abs().mean(1).sum().item<double>();
                   },
                   /*higher_is_better=*/false}};
  return task;
}

/// What comes out against what goes in: it needs no targets, and has the loss alone.
Task autoencoder() {
  Task task;
  task.name = "autoencoder";
  task.loss = [](const at::Tensor& output, const Batch& batch) { return at::mse_loss(output, batch.inputs[0]); };
  task.loss_sum = [](const at::Tensor& output, const Batch& batch) {
    return (output - batch.inputs[0]).square().mean(1).sum().item<double>();
  };
  return task;
}

struct Linear {
  at::Tensor weight;
  Linear(int64_t out, int64_t in) : weight(at::zeros({out, in}).requires_grad_(true)) {}
  ModelHandle handle() {
    return {[this](const std::vector<at::Tensor>& in) { return at::linear(in[0], weight); }, {weight}, [](bool) {}};
  }
};

TrainOptions quick(Task task) {
  TrainOptions options;
  options.task = std::move(task);
  options.epochs = 20;
  options.batch_size = 20;
  options.learning_rate = 0.1;
  return options;
}

TEST(Task, RegressionFindsTheWeights) {
  at::manual_seed(3);
  const at::Tensor truth = at::randn({2, 3}), x = at::randn({200, 3});
  const auto data = tensor_source("line", {x}, at::linear(x, truth));
  EXPECT_EQ(data->num_classes(), 0);
  Linear model(2, 3);
  std::ostringstream out;
  Progress progress("", Progress::Mode::kPlain, out, [now = 0.0]() mutable { return now += 20; });
  const TrainResult result = train(model.handle(), data, quick(regression()), {}, data, &progress);
  EXPECT_TRUE(at::allclose(model.weight, truth, 1e-3, 1e-3)) << model.weight << truth;
  const Evaluation& last = *result.epochs.back().evaluation;
  EXPECT_NEAR(last.loss, (at::linear(x, model.weight) - at::linear(x, truth)).square().mean().item<double>(), 1e-9);
  EXPECT_NEAR(last.score("mae"), (at::linear(x, model.weight) - at::linear(x, truth)).abs().mean().item<double>(),
              1e-6);
  EXPECT_EQ(result.best_epoch, 19) << "the least error is the best";
  EXPECT_NE(out.str().find("  mean error 0."), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("train 1/20  loss "), std::string::npos) << out.str();
  EXPECT_EQ(out.str().find("top-1"), std::string::npos) << out.str();
  EXPECT_TRUE(test::fails_with([&] { train(model.handle(), tensor_source("bare", {x}), quick(regression())); },
                               "[bare] has no targets to train with"));
  EXPECT_TRUE(test::fails_with(
      [&] {
        tensor_source("short", {x}, at::zeros({199, 2}));
      },
      "[short] targets: expected 200, got [199, 2]"));
}

TEST(Task, AnAutoencoderNeedsNoTargets) {
  at::manual_seed(3);
  const auto data = tensor_source("noise", {at::randn({200, 3})});
  Linear model(3, 3);
  const TrainResult result = train(model.handle(), data, quick(autoencoder()), {}, data);
  EXPECT_TRUE(at::allclose(model.weight, at::eye(3), 1e-3, 1e-2)) << model.weight;
  EXPECT_EQ(result.best_epoch, 19);
  EXPECT_TRUE(result.epochs.back().scores.empty());
  EXPECT_TRUE(test::fails_with([&] { result.epochs.back().evaluation->score("top1"); }, "expected none, got top1"));
}

TEST(Task, ClassificationSmoothsInTrainingAlone) {
  const at::Tensor logits = at::randn({6, 4}), labels = at::randint(4, {6}, at::kLong);
  const Batch batch{{at::zeros({6, 1})}, labels};
  const Task task = classification(0.2);
  const at::Tensor log = at::log_softmax(logits, 1);
  const double plain = -log.gather(1, labels.unsqueeze(1)).mean().item<double>();
  EXPECT_NEAR(task.loss(logits, batch).item<double>(), 0.8 * plain - 0.2 * log.mean().item<double>(), 1e-6);
  EXPECT_NEAR(task.loss_sum(logits, batch), 6 * plain, 1e-5);
  EXPECT_TRUE(test::fails_with([] { classification(1.0); }, "label smoothing: expected from 0 up to but not 1, got 1"));
}

TEST(CountTop, RanksByValueAndTrustsNoTie) {
  at::Tensor logits = at::tensor({1.0F, 3.0F, 2.0F, 5.0F, 5.0F, 0.0F, NAN, 1.0F, 2.0F}).view({3, 3});
  EXPECT_EQ(count_top(logits, at::tensor({1, 2, 2}, at::kLong), 1), 2);  // the NaN row's 2 is the greatest number
  EXPECT_EQ(count_top(logits, at::tensor({2, 0, 0}, at::kLong), 1), 0);  // second, tie, NaN
  EXPECT_EQ(count_top(logits, at::tensor({2, 0, 0}, at::kLong), 2), 2);
  EXPECT_EQ(count_top(logits, at::tensor({0, 2, 1}, at::kLong), 5), 3);
}

}  // namespace
}  // namespace octet
