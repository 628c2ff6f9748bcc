#include "octet/train/trainer.h"

#include <gtest/gtest.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <sstream>

#include "octet/train/demo_recipe.h"
#include "octet/train/progress.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

/// Three groups of points around three corners, easy to tell apart.
std::shared_ptr<DataSource> corners(int64_t count, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  at::Tensor labels = at::randint(3, {count}, generator, at::kLong);
  at::Tensor centres = at::tensor({2.0F, 0.0F, -2.0F, 1.0F, 0.0F, -2.0F}).view({3, 2});
  at::Tensor points = centres.index_select(0, labels) + 0.5 * at::randn({count, 2}, generator, at::kFloat);
  return tensor_source("corners", {points}, labels, 3);
}

/// Two layers and dropout, without torch/nn.
struct Net {
  std::vector<at::Tensor> parameters;
  bool training = false;
  explicit Net(uint64_t seed = 1) {
    at::manual_seed(seed);
    for (auto shape : std::vector<std::vector<int64_t>>{{16, 2}, {16}, {3, 16}, {3}}) {
      parameters.push_back((0.3 * at::randn(shape)).requires_grad_(true));
    }
  }
  ModelHandle handle() {
    return {[this](const std::vector<at::Tensor>& inputs) {
              at::Tensor h = at::relu(at::linear(inputs[0], parameters[0], parameters[1]));
              return at::linear(at::dropout(h, 0.2, training), parameters[2], parameters[3]);
            },
            parameters, [this](bool on) { training = on; }};
  }
};

TrainOptions quick() {
  TrainOptions options;
  options.epochs = 3;
  options.batch_size = 32;
  options.learning_rate = 0.1;
  return options;
}

TEST(Train, AnEpochWithoutANumberIsNotTheBest) {
  Net net;
  TrainOptions options = quick();
  int64_t asked = 0;
  options.task.metrics[0].sum = [&asked](const at::Tensor& output, const Batch&) {
    const bool is_first = output.size(0) == 10 && asked++ == 0;  // the first evaluation
    return is_first ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(output.size(0));
  };
  const TrainResult result = train(net.handle(), corners(64, 7), options, {}, corners(10, 8));
  EXPECT_TRUE(std::isnan(result.epochs[0].evaluation->scores[0].value));
  EXPECT_EQ(result.best_epoch, 1);
}

TEST(Train, LearnsASeparableProblem) {
  for (OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    Net net;
    TrainOptions options = quick();
    options.optimizer.kind = kind;
    options.learning_rate = kind == OptimizerKind::kSgd ? 0.1 : 0.01;
    options.task = classification(/*label_smoothing=*/0.05);
    options.clip_norm = 5;
    options.warmup_epochs = 0.5;
    Evaluation before = evaluate(net.handle(), corners(600, 8));
    TrainResult result = train(net.handle(), corners(1500, 7), options, {}, corners(600, 8));
    ASSERT_EQ(result.epochs.size(), 3u);
    EXPECT_GT(before.loss, 0.5);
    EXPECT_LT(result.epochs[2].evaluation->loss, 0.2);
    EXPECT_GT(result.epochs[2].evaluation->score("top1"), 0.97);
    EXPECT_LT(result.epochs[2].loss, result.epochs[0].loss);
    EXPECT_EQ(result.epochs[2].evaluation->score("top5"), 1.0);
    EXPECT_EQ(result.samples, 3 * (1500 / 32) * 32);
    EXPECT_FALSE(net.training);
  }
}

TEST(Train, TheSeedDecidesEveryBit) {
  auto weights = [](uint64_t seed, int64_t workers) {
    Net net;
    TrainOptions options = quick();
    options.seed = seed;
    options.workers = workers;
    at::rand({static_cast<int64_t>(workers + 3)});  // the generator's state before must not matter
    train(net.handle(), corners(300, 7), options);
    std::vector<at::Tensor> flat;
    for (const at::Tensor& p : net.parameters) flat.push_back(p.detach().flatten());
    return at::cat(flat);
  };
  at::Tensor first = weights(4, 1);
  EXPECT_TRUE(at::equal(first, weights(4, 1)));
  EXPECT_TRUE(at::equal(first, weights(4, 0)));
  EXPECT_FALSE(at::equal(first, weights(5, 1)));
}

std::vector<at::Tensor> copies(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> all;
  for (const at::Tensor& tensor : tensors) all.push_back(tensor.detach().clone());
  return all;
}

// What stops a run, at any step or epoch, and the state that is left are all that a checkpoint needs.
TEST(Train, GoesOnFromItsStateToTheSameBits) {
  TrainOptions options = quick();
  options.task = classification(0.1);
  options.optimizer.kind = OptimizerKind::kAdamW;
  options.warmup_epochs = 1;
  const auto data = corners(300, 7), held_out = corners(90, 8);
  Net whole;
  const TrainResult wanted = train(whole.handle(), data, options, {}, held_out);
  ASSERT_EQ(wanted.epochs.size(), 3u);

  struct Stop {};
  for (const int64_t stop_at : {1, 4, 9, 13}) {  // nine steps an epoch
    Net net;
    int64_t steps = 0;
    TrainHooks hooks;
    hooks.on_step = [&](const StepInfo&) {
      if (++steps == stop_at) throw Stop();
    };
    TrainState state = Trainer(net.handle(), data, options, hooks, held_out).start();
    EXPECT_THROW(Trainer(net.handle(), data, options, hooks, held_out).run(state), Stop);
    EXPECT_EQ(state.step, stop_at);
    at::manual_seed(99);  // of the process that goes on
    Trainer(net.handle(), data, options, hooks, held_out).run(state);
    EXPECT_EQ(steps, 27);
    for (size_t i = 0; i < net.parameters.size(); ++i) {
      EXPECT_TRUE(at::equal(net.parameters[i], whole.parameters[i])) << "stopped at " << stop_at << ", parameter " << i;
    }
    ASSERT_EQ(state.result.epochs.size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(state.result.epochs[i].loss, wanted.epochs[i].loss);
      EXPECT_EQ(state.result.epochs[i].evaluation->loss, wanted.epochs[i].evaluation->loss);
      EXPECT_EQ(score(state.result.epochs[i].scores, "top1"), score(wanted.epochs[i].scores, "top1"));
    }
    EXPECT_EQ(state.result.best_epoch, wanted.best_epoch);
    EXPECT_EQ(state.result.samples, wanted.samples);
  }
}

// A state that is over stays as it is; more epochs go on.
TEST(Train, AnEndedRunMayGoOnWithMoreEpochs) {
  TrainOptions options = quick();
  options.schedule = ScheduleKind::kConstant;
  const auto data = corners(300, 7);
  Net whole, net;
  options.epochs = 3;
  train(whole.handle(), data, options);
  options.epochs = 2;
  TrainState state = Trainer(net.handle(), data, options).start();
  Trainer(net.handle(), data, options).run(state);
  const std::vector<at::Tensor> after_two = copies(net.parameters);
  Trainer(net.handle(), data, options).run(state);
  for (size_t i = 0; i < after_two.size(); ++i) EXPECT_TRUE(at::equal(net.parameters[i], after_two[i]));
  options.epochs = 3;
  Trainer(net.handle(), data, options).run(state);
  for (size_t i = 0; i < after_two.size(); ++i) EXPECT_TRUE(at::equal(net.parameters[i], whole.parameters[i]));
}

TEST(Train, CallsHooksInOrder) {
  Net net;
  TrainOptions options = quick();
  options.epochs = 2;
  options.schedule = ScheduleKind::kStep;
  options.step_factor = 0.5;
  std::ostringstream log;
  std::vector<double> rates;
  TrainHooks hooks;
  hooks.on_epoch_begin = [&](int64_t epoch) {
    EXPECT_TRUE(net.training);
    log << 'b' << epoch;
  };
  hooks.on_step = [&](const StepInfo& info) {
    EXPECT_EQ(info.steps_per_epoch, 3);
    log << 's' << info.step;
    rates.push_back(info.learning_rate);
  };
  hooks.on_epoch_end = [&](const EpochInfo& info) {
    EXPECT_FALSE(net.training);
    ASSERT_TRUE(info.evaluation.has_value());
    log << 'e' << info.epoch;
  };
  train(net.handle(), corners(100, 7), options, hooks, corners(50, 8));
  EXPECT_EQ(log.str(), "b0s0s1s2e0b1s0s1s2e1");
  EXPECT_EQ(rates, (std::vector<double>{0.1, 0.1, 0.1, 0.05, 0.05, 0.05}));
}

TEST(Train, MatchesLibtorchStepByStep) {
  // Without dropout: SGD with momentum and weight decay on one full batch, against the plain formula.
  at::Tensor x = at::randn({8, 4}), y = at::randint(3, {8}, at::kLong);
  at::Tensor w = at::randn({3, 4}).requires_grad_(true);
  at::Tensor own = w.detach().clone(), momentum = at::zeros_like(own);
  ModelHandle model{[&](const std::vector<at::Tensor>& in) { return at::linear(in[0], w); }, {w}, [](bool) {}};
  TrainOptions options;
  options.epochs = 4;
  options.batch_size = 8;
  options.learning_rate = 0.2;
  options.schedule = ScheduleKind::kConstant;
  options.optimizer = {.momentum = 0.9, .nesterov = true, .weight_decay = 0.01};
  options.task = classification(/*label_smoothing=*/0.1);
  train(model, tensor_source("points", {x}, y, 3), options);
  at::Tensor target = at::one_hot(y, 3) * 0.9 + 0.1 / 3;
  for (int step = 0; step < 4; ++step) {
    at::Tensor gradient = (at::softmax(at::linear(x, own), 1) - target).t().mm(x) / 8 + 0.01 * own;
    momentum = 0.9 * momentum + gradient;
    own = own - 0.2 * (gradient + 0.9 * momentum);
  }
  EXPECT_TRUE(at::allclose(w, own, 1e-4, 1e-5));
}

TEST(FusedOptimizers, DoWhatTorchsDo) {
  const auto parameters = [] {
    at::manual_seed(4);
    return std::vector<at::Tensor>{
        at::randn({6, 3, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_(true),
        at::randn({5, 7}).requires_grad_(true), at::randn({5}).requires_grad_(true),
        at::randn({2}).requires_grad_(true)};
  };
  const auto follow = [&](torch::optim::Optimizer& optimizer, const std::vector<at::Tensor>& all) {
    at::manual_seed(9);
    for (int step = 0; step < 4; ++step) {
      for (size_t i = 0; i < all.size(); ++i) {
        at::Tensor gradient = at::randn_like(all[i]);
        if (step == 2 && i == 1) gradient = gradient.t().contiguous().t();  // in another layout
        // The last has none at first, the first momentum comes later.
        if (i + 1 < all.size() || step > 0) all[i].mutable_grad() = gradient;
      }
      set_learning_rate(optimizer, 0.1 / (step + 1));
      optimizer.step();
    }
  };
  const auto expect_same = [](const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& wanted) {
    for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::allclose(got[i], wanted[i], 1e-5, 1e-6)) << i;
  };
  for (const OptimizerOptions& options :
       {OptimizerOptions{.momentum = 0.9, .weight_decay = 0.01}, OptimizerOptions{.momentum = 0},
        OptimizerOptions{.momentum = 0.8, .nesterov = true},
        OptimizerOptions{.kind = OptimizerKind::kAdamW, .weight_decay = 0.02}}) {
    const std::vector<at::Tensor> got = parameters();
    const std::vector<at::Tensor> wanted = parameters();
    follow(*make_optimizer(got, options, 0.1), got);
    if (options.kind == OptimizerKind::kAdamW) {
      torch::optim::AdamW plain(wanted, torch::optim::AdamWOptions(0.1).weight_decay(options.weight_decay));
      follow(plain, wanted);
    } else {
      torch::optim::SGD plain(wanted, torch::optim::SGDOptions(0.1)
                                          .momentum(options.momentum)
                                          .nesterov(options.nesterov)
                                          .weight_decay(options.weight_decay));
      follow(plain, wanted);
    }
    expect_same(got, wanted);
  }
}

TEST(Train, RefusesWhatCannotWork) {
  Net net;
  TrainOptions options = quick();
  auto says = [&](std::shared_ptr<const DataSource> data, const std::string& part) {
    try {
      train(net.handle(), std::move(data), options);
      ADD_FAILURE() << "no error: " << part;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  says(tensor_source("bare", {at::zeros({64, 2})}), "[bare] has no labels");
  says(corners(20, 1), "[corners] samples: expected a batch of 32, got 20");
  says(tensor_source("wide", {at::zeros({64, 2})}, at::full({64}, 3, at::kLong)),
       "[wide] labels: expected below 3, got 3");
  options.clip_norm = 0;
  says(tensor_source("nan", {at::full({64, 2}, NAN)}, at::zeros({64}, at::kLong)),
       "the loss is nan in epoch 1, step 1");
  says(tensor_source("soft", {at::zeros({64, 2})}, at::zeros({64, 3})),
       "[soft] soft targets: expected shares of each sample that sum up to 1");
  options.epochs = 0;
  says(corners(64, 1), "epochs: expected at least 1");
}

TEST(Train, ChannelsLastChangesNoNumberMuch) {
  auto result = [](bool channels_last) {
    at::manual_seed(2);
    at::Tensor w = (0.2 * at::randn({8, 3, 3, 3})).requires_grad_(true), head = at::randn({4, 8}).requires_grad_(true);
    ModelHandle model{[&](const std::vector<at::Tensor>& in) {
                        EXPECT_EQ(in[0].is_contiguous(at::MemoryFormat::ChannelsLast), channels_last);
                        return at::linear(at::conv2d(in[0], w, {}, 1, 1).mean({2, 3}), head);
                      },
                      {w, head},
                      [](bool) {}};
    TrainOptions options;
    options.batch_size = 16;
    options.channels_last = channels_last;
    auto data = tensor_source("noise", {at::randn({64, 3, 6, 6})}, at::randint(4, {64}, at::kLong), 4);
    train(model, data, options);
    EXPECT_EQ(w.is_contiguous(at::MemoryFormat::ChannelsLast), channels_last);
    return at::cat({w.detach().contiguous().flatten(), head.detach().flatten()});
  };
  EXPECT_TRUE(at::allclose(result(true), result(false), 1e-3, 1e-4));
}

TEST(Train, MeasuresInBatchesThatTrainingsMemoryHolds) {
  Net net;
  ModelHandle handle = net.handle();
  int64_t largest = 0;
  handle.forward = [&, forward = handle.forward](const std::vector<at::Tensor>& inputs) {
    if (!net.training) largest = std::max(largest, inputs[0].size(0));
    return forward(inputs);
  };
  TrainOptions options = quick();
  options.epochs = 1;
  options.batch_size = 4;
  train(handle, corners(16, 1), options, {}, corners(300, 2));
  EXPECT_EQ(largest, 8);
  options.batch_size = 128;
  train(handle, corners(256, 1), options, {}, corners(300, 2));
  EXPECT_EQ(largest, 250);
}

TEST(Train, ShowsProgress) {
  Net net;
  std::ostringstream out;
  double now = 0;
  Progress progress("", Progress::Mode::kPlain, out, [&] { return now += 1; });
  progress.set_plain_seconds(2);
  train(net.handle(), corners(320, 7), quick(), {}, corners(64, 8), &progress, "float");
  EXPECT_NE(out.str().find("float 1/3  step "), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("float 3/3  loss "), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("step 30/30"), std::string::npos) << out.str();
}

TEST(Evaluate, CountsAllSamplesAndTheLoss) {
  at::Tensor logits = at::randn({23, 7});
  at::Tensor labels = at::randint(7, {23}, at::kLong);
  bool training = true;
  ModelHandle model{[](const std::vector<at::Tensor>& in) {
                      EXPECT_FALSE(at::GradMode::is_enabled());
                      return in[0];
                    },
                    {},
                    [&](bool on) { training = on; }};
  const Evaluation accuracy = evaluate(model, tensor_source("logits", {logits}, labels, 7), {.batch_size = 5});
  EXPECT_FALSE(training);
  EXPECT_EQ(accuracy.samples, 23);
  EXPECT_DOUBLE_EQ(accuracy.score("top1"), static_cast<double>(logits.argmax(1).eq(labels).sum().item<int64_t>()) / 23);
  at::Tensor best5 = std::get<1>(logits.topk(5));
  EXPECT_DOUBLE_EQ(accuracy.score("top5"),
                   static_cast<double>(best5.eq(labels.unsqueeze(1)).any(1).sum().item<int64_t>()) / 23);
  EXPECT_NEAR(accuracy.loss, at::cross_entropy_loss(logits, labels).item<double>(), 1e-5);
  EXPECT_TRUE(test::fails_with([&] { evaluate(model, tensor_source("bare", {logits})); },
                               "[bare] has no labels to measure with"));
  EXPECT_TRUE(test::fails_with([&] { accuracy.score("top2"); }, "metric: expected top1, top5, got top2"));
}

TEST(MakeOptimizer, GroupsKeepTheirOwnOptions) {
  std::vector<at::Tensor> parameters = {at::zeros({2, 2}).requires_grad_(true), at::zeros({2}).requires_grad_(true)};
  for (double decay : {0.0, 0.01, 0.02}) {  // 0.01 is AdamW's own default
    auto adamw =
        make_optimizer(parameters, {.kind = OptimizerKind::kAdamW, .weight_decay = decay, .decay_vectors = false}, 0.1);
    auto& groups = adamw->param_groups();
    ASSERT_EQ(groups.size(), 2u);
    EXPECT_EQ(static_cast<torch::optim::AdamWOptions&>(groups[0].options()).weight_decay(), decay);
    EXPECT_EQ(static_cast<torch::optim::AdamWOptions&>(groups[1].options()).weight_decay(), 0.0);
    auto sgd = make_optimizer(parameters, {.momentum = 0.5, .nesterov = true, .weight_decay = decay}, 0.1);
    ASSERT_EQ(sgd->param_groups().size(), 1u);
    auto& options = static_cast<torch::optim::SGDOptions&>(sgd->param_groups()[0].options());
    EXPECT_EQ(options.weight_decay(), decay);
    EXPECT_EQ(options.momentum(), 0.5);
    EXPECT_TRUE(options.nesterov());
    set_learning_rate(*sgd, 0.25);
    EXPECT_EQ(options.lr(), 0.25);
  }
  EXPECT_THROW(make_optimizer({}, {}, 0.1), Error);
  EXPECT_THROW(make_optimizer(parameters, {.momentum = 0, .nesterov = true}, 0.1), Error);
  EXPECT_THROW(optimizer_kind("adam"), Error);
}

TEST(ClipGradients, ScalesToTheCommonNorm) {
  at::Tensor a = at::zeros({2}).requires_grad_(true), b = at::zeros({1}).requires_grad_(true);
  a.mutable_grad() = at::tensor({3.0F, 0.0F});
  b.mutable_grad() = at::tensor({4.0F});
  EXPECT_DOUBLE_EQ(clip_gradients({a, b}, 10), 5.0);
  EXPECT_FLOAT_EQ(b.grad().item<float>(), 4.0F);
  EXPECT_DOUBLE_EQ(clip_gradients({a, b}, 1), 5.0);
  EXPECT_FLOAT_EQ(a.grad()[0].item<float>(), 0.6F);
  EXPECT_FLOAT_EQ(b.grad().item<float>(), 0.8F);
}

TEST(DemoRecipe, IsComplete) {
  for (bool full : {false, true}) {
    DemoRecipe recipe = demo_recipe(full);
    EXPECT_EQ(recipe.float_training.epochs, full ? 12 : 4);
    EXPECT_GT(recipe.freeze_observers_after, 0);
    EXPECT_LT(recipe.freeze_observers_after, recipe.qat.epochs);
  }
}

// What reads memory by strides gets images in rows, in evaluation and in training.
TEST(Trainer, StridesOfAProgramAreThoseOfRows) {
  at::manual_seed(5);
  auto graph = std::make_shared<GraphModule>();
  Graph& g = graph->graph();
  graph->set_attr("scale", at::ones({1, 3, 1, 1}).set_requires_grad(true), AttrKind::kParameter);
  Node* scaled = g.call("aten.mul.Tensor", {g.placeholder("x"), g.get_attr("scale")});
  g.output({g.call("aten.as_strided", {scaled, std::vector<int64_t>{8, 12}, std::vector<int64_t>{12, 1}})});
  const at::Tensor x = at::randn({16, 3, 2, 2});
  const auto data = tensor_source("rows", {x}, x.reshape({16, 12}).argmax(1), 12);
  const ModelHandle model = model_handle(graph);
  EXPECT_DOUBLE_EQ(evaluate(model, data, {.batch_size = 8}).score("top1"), 1.0);
  double first = 0;
  TrainOptions options;
  options.epochs = 1;
  options.batch_size = 8;
  options.learning_rate = 1e-9;
  TrainHooks hooks;
  hooks.on_epoch_end = [&](const EpochInfo& info) { first = info.scores.at(0).value; };
  train(model, data, options, hooks);
  EXPECT_DOUBLE_EQ(first, 1.0);
}

}  // namespace
}  // namespace octet
