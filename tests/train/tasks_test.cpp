// Tasks by name: their losses and metrics against plain formulas.
#include "octet/train/tasks.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "octet/formats/npy.h"
#include "octet/train/open_data.h"
#include "octet/train/trainer.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using test::fails_with;

double brute_force_area(const at::Tensor& scores, const at::Tensor& labels) {
  double won = 0, pairs = 0;
  for (int64_t i = 0; i < scores.numel(); ++i) {
    for (int64_t j = 0; j < scores.numel(); ++j) {
      if (labels[i].item<double>() < 0.5 || labels[j].item<double>() > 0.5) continue;
      const auto one = scores[i].item<float>(), zero = scores[j].item<float>();
      won += one > zero ? 1 : (one == zero ? 0.5 : 0);
      pairs += 1;
    }
  }
  return won / pairs;
}

TEST(Tasks, AreaUnderTheCurveCountsPairs) {
  at::manual_seed(1);
  for (int round = 0; round < 4; ++round) {
    const at::Tensor scores = at::randint(8, {40}).to(at::kFloat);  // many are equal
    const at::Tensor labels = at::rand({40}).lt(0.3);
    EXPECT_NEAR(*area_under_roc(scores, labels), brute_force_area(scores, labels.to(at::kFloat)), 1e-12);
  }
  EXPECT_FALSE(area_under_roc(at::rand({5}), at::ones({5})).has_value());
  EXPECT_FALSE(area_under_roc(at::tensor({1.0F, NAN}), at::tensor({0, 1})).has_value());
}

// A model that gives what it takes.
ModelHandle identity() {
  return {[](const std::vector<at::Tensor>& in) { return in[0]; }, {}, [](bool) {}};
}

TEST(Tasks, BinaryAnswersHaveAccuracyAreaAndF1) {
  at::manual_seed(2);
  const at::Tensor logits = at::randn({30, 1}), labels = at::randint(2, {30}, at::kLong);
  const Evaluation found =
      evaluate(identity(), tensor_source("logits", {logits}, labels, 2), {.task = binary(), .batch_size = 7});
  const at::Tensor flat = logits.flatten(), said = flat.gt(0), is = labels.gt(0);
  EXPECT_NEAR(found.loss, at::binary_cross_entropy_with_logits(flat, labels.to(at::kFloat)).item<double>(), 1e-5);
  EXPECT_NEAR(found.score("accuracy"), said.eq(is).to(at::kDouble).mean().item<double>(), 1e-6);
  EXPECT_NEAR(found.score("auc"), brute_force_area(flat, is.to(at::kFloat)), 1e-9);
  const double tp = said.logical_and(is).sum().item<double>();
  EXPECT_NEAR(found.score("f1"), 2 * tp / (said.sum().item<double>() + is.sum().item<double>()), 1e-9);
  EXPECT_TRUE(fails_with(
      [&] {
        evaluate(identity(), tensor_source("two", {at::zeros({4, 2})}, at::zeros({4}, at::kLong), 2),
                 {.task = binary()});
      },
      "model output: expected one logit a sample"));
  EXPECT_TRUE(fails_with(
      [&] {
        evaluate(identity(), tensor_source("many", {at::zeros({4, 1})}, at::full({4}, 3, at::kLong)),
                 {.task = binary()});
      },
      "labels: expected 0 and 1"));
}

TEST(Tasks, MultilabelTakesTheMeanOverItsLabels) {
  at::manual_seed(3);
  const at::Tensor logits = at::randn({40, 3}), labels = at::rand({40, 3}).lt(0.4).to(at::kFloat);
  const Evaluation found =
      evaluate(identity(), tensor_source("logits", {logits}, labels), {.task = multilabel(), .batch_size = 16});
  EXPECT_NEAR(found.loss, at::binary_cross_entropy_with_logits(logits, labels).item<double>(), 1e-5);
  double area = 0;
  for (int64_t i = 0; i < 3; ++i) area += brute_force_area(logits.select(1, i), labels.select(1, i)) / 3;
  EXPECT_NEAR(found.score("auc"), area, 1e-9);
  EXPECT_NEAR(found.score("accuracy"), logits.gt(0).eq(labels.gt(0)).to(at::kDouble).mean().item<double>(), 1e-6);
}

// MLPerf Tiny's measure of its autoencoder: anomalies are told by their error.
TEST(Tasks, AnAutoencoderTellsAnomaliesByTheirError) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({50, 6}), labels = at::rand({50}).lt(0.4).to(at::kLong);
  ModelHandle model = identity();
  model.forward = [](const std::vector<at::Tensor>& in) { return in[0] * 0.5; };
  const Evaluation found =
      evaluate(model, tensor_source("x", {x}, labels), {.task = octet::autoencoder(), .batch_size = 8});
  const at::Tensor error = (0.5 * x).square().mean(1);
  EXPECT_NEAR(found.score("mse"), error.mean().item<double>(), 1e-6);
  EXPECT_EQ(found.loss, found.score("mse"));
  EXPECT_NEAR(found.score("mae"), (0.5 * x).abs().mean().item<double>(), 1e-6);
  EXPECT_NEAR(found.score("auc"), brute_force_area(error, labels.to(at::kFloat)), 1e-9);
  const Evaluation bare = evaluate(model, tensor_source("x", {x}), {.task = octet::autoencoder()});
  EXPECT_EQ(bare.scores.size(), 2u) << "without labels no area";
}

// Of samples of one recording, as MLPerf Tiny has it, the mean error counts.
TEST(Tasks, AFileIsOneAnswerOfAnAutoencoder) {
  const Task task = octet::autoencoder();
  Batch batch{{at::zeros({5, 1})}, at::tensor({0, 0, 1, 1, 0}, at::kLong), at::tensor({7, 7, 3, 3, 9}, at::kLong)};
  const at::Tensor output = at::tensor({0.0F, 3.0F, 2.0F, 2.5F, 1.0F}).view({5, 1});  // errors 0, 9, 4, 6.25, 1
  EXPECT_EQ(task.whole[0].value(task.whole[0].rows(output, batch)), 1.0) << "4.5 and 1 below 5.125";
  batch.files = at::Tensor();
  EXPECT_NEAR(*task.whole[0].value(task.whole[0].rows(output, batch)), 4.0 / 6.0, 1e-9);
}

TEST(Tasks, AreFoundByName) {
  for (const std::string& name : task_names()) EXPECT_EQ(task_named(name).name, name);
  EXPECT_TRUE(fails_with([] { task_named("ranking"); },
                         "name: expected classification, regression, autoencoder, binary, multilabel, got 'ranking'"));
  EXPECT_TRUE(fails_with([] { task_named("regression", {.label_smoothing = 0.1}); }, "are for a classification"));
}

TEST(Tasks, FilesHoldWhatTheyCompareWith) {
  const test::TemporaryFolder folder;
  write_npy(folder.file("x.npy"), at::randn({6, 2}));
  write_npy(folder.file("labels.npy"), at::rand({6, 3}));
  const std::string spec = "npy:" + folder.file("x*.npy");
  EXPECT_EQ(open_data(spec, Split::kTrain)->get({1, 2}).targets.sizes(), (std::vector<int64_t>{2, 3}));
  write_npy(folder.file("labels.npy"), at::randint(2, {6, 3}, at::kLong));
  EXPECT_EQ(open_data(spec, Split::kTrain)->get({0}).targets.scalar_type(), at::kFloat);
  write_npy(folder.file("labels.npy"), at::randint(2, {6, 1}, at::kLong));
  EXPECT_EQ(open_data(spec, Split::kTrain)->get({0}).targets.scalar_type(), at::kLong);
  write_npy(folder.file("labels.npy"), at::rand({5, 3}));
  EXPECT_TRUE(fails_with([&] { open_data(spec, Split::kTrain); }, "samples: expected 6, got [5, 3]"));
  write_npy(folder.file("labels.npy"), at::full({6}, NAN));
  EXPECT_TRUE(fails_with([&] { open_data(spec, Split::kTrain); }, "numbers are NaN"));
}

}  // namespace
}  // namespace octet
