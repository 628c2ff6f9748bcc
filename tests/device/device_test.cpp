// Training on a device, held against the same on the CPU: on simulated ones (simulated_cuda.cpp), which compute by the
// CPU's kernels and, as GPUs do, take no tensor of another device.
#include "octet/train/device.h"

#include <gtest/gtest.h>

#include "octet/graph/record.h"
#include "octet/kernels/reference_path.h"
#include "octet/models/registry.h"
#include "octet/quantize/calibrate.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/checkpoints.h"
#include "octet/train/distill.h"
#include "octet/train/qat.h"
#include "octet/train/tasks.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using test::fails_with;
using State = std::map<std::string, at::Tensor>;

// Before all else: libtorch looks for devices once.
class Simulated : public ::testing::Environment {
 public:
  void SetUp() override { device_ = ready_device("cuda:1"); }
  static at::Device device() { return device_; }

 private:
  inline static at::Device device_ = at::kCPU;
};
const auto* const environment = ::testing::AddGlobalTestEnvironment(new Simulated);

// While it stands, the CPU computes by plain formulas too.
class PlainFormulas {
 public:
  PlainFormulas() { set_reference_path(true); }
  ~PlainFormulas() { set_reference_path(false); }
};

std::shared_ptr<DataSource> noise(int64_t count, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  const at::Tensor images = at::randn({count, 3, 8, 8}, generator, at::kFloat);
  return tensor_source("noise", {images}, at::randint(4, {count}, generator, at::kLong), 4);
}

std::shared_ptr<GraphModule> small_graph(const std::string& name = "resnet8") {
  at::manual_seed(5);
  ModelOptions choice;
  choice.num_classes = 4;
  return export_module(*make_model(name, choice), {at::zeros({2, 3, 8, 8})}, {.train = true});
}

State copy_of(const State& tensors) {
  State copied;
  for (const auto& [name, tensor] : tensors) copied.emplace(name, tensor.detach().cpu().clone());
  return copied;
}

State tensors_of(const GraphModule& model) {
  State all;
  for (const std::string& name : model.attr_names()) all.emplace(name, model.attr(name).detach().clone());
  return all;
}

void expect_equal(const State& got, const State& wanted, const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (const auto& [name, tensor] : wanted) {
    ASSERT_TRUE(got.contains(name)) << what << ": " << name;
    EXPECT_TRUE(got.at(name).is_cpu()) << what << ": " << name;
    EXPECT_TRUE(at::equal(got.at(name), tensor)) << what << ": " << name;
  }
}

QatOptions usual() {
  QatOptions options;
  options.train.epochs = 3;
  options.train.batch_size = 16;
  options.train.learning_rate = 0.05;
  options.freeze_observers_after = 1;
  options.freeze_bn_after = 2;
  return options;
}

struct Trained {
  TrainResult result;
  State last;  // of the prepared model, behind the last step
  State quantized;
};

struct CutHere {};

Trained trained(const QatOptions& options, Checkpoints* checkpoints = nullptr, int64_t cut_behind = 0,
                const std::string& model = "resnet8") {
  Trained run;
  TrainHooks hooks;
  if (checkpoints != nullptr) {
    hooks.on_start = [&](const ModelHandle& handle, TrainState& state) { checkpoints->resume(handle, state); };
  }
  hooks.on_state = [&](const ModelHandle& handle, const TrainState& state) {
    run.last = copy_of(state_of(handle));
    if (checkpoints != nullptr) checkpoints->save_if_due(handle, state);
    if (cut_behind > 0 && state.step == cut_behind) throw CutHere();
  };
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
  const QatResult found = train_qat(small_graph(model), quantizer, noise(64, 1), options, hooks, noise(20, 2));
  run.result = found.training;
  run.quantized = tensors_of(*found.quantized);
  return run;
}

struct Recipe {
  const char* name;
  std::function<void(QatOptions&)> change;
};

Task taught(at::Device device) {
  const std::shared_ptr<GraphModule> teacher = small_graph();
  teacher->to(device);
  return distilled(classification(0.1, at::tensor({1.0F, 2.0F, 0.5F, 1.0F})), model_handle(teacher), {});
}

const Recipe kRecipes[] = {
    {"usual", [](QatOptions&) {}},
    {"AdamW, clipped and accumulated",
     [](QatOptions& options) {
       options.train.optimizer.kind = OptimizerKind::kAdamW;
       options.train.learning_rate = 0.005;
       options.train.clip_norm = 0.5;
       options.train.batch_size = 8;
       options.train.accumulate = 2;
     }},
    {"moving average, early stopping, MixUp",
     [](QatOptions& options) {
       options.train.average = 0.9;
       options.train.patience = 1;
       options.train.mix.mixup = 0.2;
     }},
    {"learned scales", [](QatOptions& options) { options.learn_scales = true; }},
    {"distilled", [](QatOptions& options) { options.train.task = taught(options.device); }},
    {"statistics found anew, warm start",
     [](QatOptions& options) {
       options.train.reestimate_batches = 2;
       options.calibrated_samples = 32;
     }},
    {"frozen begin", [](QatOptions& options) { options.freeze = "0.5", options.integer_prefix = false; }},
    {"a share of the channels",
     [](QatOptions& options) {
       options.update.share = 0.5;
       options.update.every = 3;
     }},
};

TEST(Device, TrainsAsThePlainFormulasOnTheCpuDo) {
  for (const Recipe& recipe : kRecipes) {
    SCOPED_TRACE(recipe.name);
    QatOptions options = usual();
    recipe.change(options);
    Trained wanted;
    {
      const PlainFormulas plain;
      wanted = trained(options);
    }
    options = usual();
    options.device = Simulated::device();
    recipe.change(options);
    const Trained got = trained(options);
    ASSERT_EQ(got.result.epochs.size(), wanted.result.epochs.size());
    for (size_t i = 0; i < wanted.result.epochs.size(); ++i) {
      EXPECT_EQ(got.result.epochs[i].loss, wanted.result.epochs[i].loss);
      EXPECT_EQ(got.result.epochs[i].evaluation->loss, wanted.result.epochs[i].evaluation->loss);
    }
    expect_equal(got.last, wanted.last, "while it trains");
    expect_equal(got.quantized, wanted.quantized, "quantized");
  }
}

// On the device, on the CPU, and on the device again: the bits of one that never left the CPU.
TEST(Device, ARunGoesOnElsewhere) {
  QatOptions options = usual();
  options.train.average = 0.9;
  options.train.optimizer.kind = OptimizerKind::kAdamW;
  options.train.learning_rate = 0.005;
  const PlainFormulas plain;
  const Trained wanted = trained(options);
  const test::TemporaryFolder folder;
  Checkpoints checkpoints({.folder = folder.path(), .every_seconds = 0}, {});
  options.device = Simulated::device();
  EXPECT_THROW(trained(options, &checkpoints, 3), CutHere);
  options.device = at::kCPU;
  EXPECT_THROW(trained(options, &checkpoints, 7), CutHere);
  options.device = Simulated::device();
  const Trained got = trained(options, &checkpoints);
  EXPECT_EQ(got.result.epochs.back().loss, wanted.result.epochs.back().loss);
  expect_equal(got.last, wanted.last, "while it trains");
  expect_equal(got.quantized, wanted.quantized, "quantized");
}

// Drawn on the device, whose generator no checkpoint keeps.
TEST(Device, DropoutFollowsFromTheStep) {
  QatOptions options = usual();
  options.train.epochs = 2;
  options.device = Simulated::device();
  const auto run = [&](Checkpoints* checkpoints, int64_t cut_behind) {
    return trained(options, checkpoints, cut_behind, "mobilenet_v3_small");
  };
  const Trained wanted = run(nullptr, 0);
  const test::TemporaryFolder folder;
  Checkpoints checkpoints({.folder = folder.path(), .every_seconds = 0}, {});
  EXPECT_THROW(run(&checkpoints, 2), CutHere);
  expect_equal(run(&checkpoints, 0).last, wanted.last, "dropout");
}

TEST(Device, FloatTrainsAndIsMeasuredThere) {
  TrainOptions options = usual().train;
  options.average = 0.9;
  std::map<std::string, at::Tensor> states[2];
  double losses[2];
  const PlainFormulas plain;
  for (const at::Device device : {at::Device(at::kCPU), Simulated::device()}) {
    const auto graph = small_graph();
    OnDevice away(graph, device);
    EXPECT_EQ(device_of(model_handle(graph)), device);
    train(model_handle(graph), noise(64, 1), options);
    losses[device.is_cpu() ? 0 : 1] = evaluate(model_handle(graph), noise(20, 2)).loss;
    away.back();
    states[device.is_cpu() ? 0 : 1] = tensors_of(*graph);
  }
  EXPECT_EQ(losses[0], losses[1]);
  expect_equal(states[1], states[0], "float");
}

// By minimum and maximum, and by histogram.
TEST(Device, CalibratesAsTheCpuDoes) {
  const auto data = noise(24, 3);
  for (const bool is_qat : {false, true}) {  // whose averages start from histograms
    State converted[2];
    const PlainFormulas plain;
    for (const at::Device device : {at::Device(at::kCPU), Simulated::device()}) {
      const auto graph = small_graph();
      graph->train(false);
      NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), is_qat);
      const auto prepared = is_qat ? prepare_qat_pt2e(graph, quantizer) : prepare_pt2e(graph, quantizer);
      OnDevice away(prepared, device);
      std::vector<std::vector<at::Tensor>> samples;
      const Loader loader(data, {.batch_size = 8, .device = device});
      for (Batch& batch : loader.epoch(0)) samples.push_back(batch.inputs);
      EXPECT_EQ(samples.at(0).at(0).device(), device);
      calibrate(*prepared, samples);
      away.back();
      converted[device.is_cpu() ? 0 : 1] = tensors_of(*convert_pt2e(prepared));
    }
    expect_equal(converted[1], converted[0], is_qat ? "averages" : "ranges");
  }
}

// What a graph makes anew comes about where the rest is, and goes back.
TEST(Device, StepsThatMakeTensorsMakeThemThere) {
  const auto model = std::make_shared<GraphModule>();
  Node* x = model->graph().placeholder("x");
  Node* named = model->graph().call(Op::find("aten.ones.default"), {Arg(std::vector<int64_t>{3}), Arg(), Arg(),
                                                                    Arg(c10::IValue(at::Device(at::kCPU))), Arg()});
  Node* plain = model->graph().call(Op::find("aten.arange.default"), {Arg(3)});
  Node* sum = model->graph().call(Op::find("aten.add.Tensor"), {Arg(x), Arg(named)});
  sum = model->graph().call(Op::find("aten.add.Tensor"), {Arg(sum), Arg(plain)});
  model->graph().output({sum});
  const at::Tensor on_cpu = at::rand({3});
  const at::Tensor wanted = model->forward(on_cpu);
  {
    const OnDevice away(model, Simulated::device());
    const at::Tensor got = model->forward(on_cpu.to(Simulated::device()));
    EXPECT_EQ(got.device(), Simulated::device());
    EXPECT_TRUE(at::equal(got.cpu(), wanted));
  }
  EXPECT_TRUE(named->arg("device").constant().toDevice().is_cpu());
  EXPECT_TRUE(plain->arg("device").is_none());
  EXPECT_TRUE(at::equal(model->forward(on_cpu), wanted));
}

TEST(Device, IsNamedAndFound) {
  EXPECT_EQ(device_named("cpu"), at::Device(at::kCPU));
  EXPECT_EQ(device_named("cuda:1"), at::Device(at::kCUDA, 1));
  EXPECT_EQ(ready_device("cuda"), at::Device(at::kCUDA, 0));
  GroupAddress address;
  address.size = 2;
  address.local_rank = 1;
  EXPECT_EQ(ready_device("cuda", address), at::Device(at::kCUDA, 1));
  for (const char* wrong : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "cuda:1000", "CUDA"}) {
    EXPECT_TRUE(fails_with([&] { device_named(wrong); }, "expected cpu, cuda or cuda:N, got")) << wrong;
  }
  EXPECT_TRUE(fails_with([] { ready_device("cuda:2"); }, "number: expected below 2, as many as there are GPUs, got 2"));
  address.local_rank = 2;
  EXPECT_TRUE(fails_with([&] { ready_device("cuda", address); }, "process of this machine: expected below 2"));
  EXPECT_TRUE(fails_with([&] { ready_device("cuda:1", address); }, "several processes have a device each"));
  ready_device("cuda:1");
}

// What the other tests rest on.
TEST(SimulatedDevice, TakesNoTensorOfAnother) {
  const at::Tensor here = at::ones({2, 3}), there = here.to(Simulated::device());
  EXPECT_FALSE(there.is_cpu());
  EXPECT_TRUE(at::equal((there + 1).cpu(), here + 1));
  EXPECT_TRUE(at::equal((there * at::full({}, 2.0)).cpu(), here * 2));
  EXPECT_ANY_THROW(there + here);
  EXPECT_ANY_THROW(at::matmul(there, at::ones({3, 2})));
  EXPECT_ANY_THROW(at::cat({there, here}));
  EXPECT_ANY_THROW(there.to(at::Device(at::kCUDA, 0)) + there);
}

}  // namespace
}  // namespace octet
