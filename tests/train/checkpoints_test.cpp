// Runs that are cut off and go on, to the bits of one that was not.
#include "octet/train/checkpoints.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <set>

#include "octet/formats/torch_save.h"
#include "octet/graph/record.h"
#include "octet/models/registry.h"
#include "octet/support/atomic_write.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/distill.h"
#include "octet/train/qat.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using test::fails_with;
using State = std::map<std::string, at::Tensor>;

const RunFacts kFacts = {{"lr", "0.05"}, {"batch_size", "16"}};

std::shared_ptr<DataSource> noise(int64_t count, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  at::Tensor images = at::randn({count, 3, 8, 8}, generator, at::kFloat);
  return tensor_source("noise", {images}, at::randint(4, {count}, generator, at::kLong), 4);
}

std::shared_ptr<GraphModule> small_graph() {
  at::manual_seed(5);
  ModelOptions choice;
  choice.num_classes = 4;
  return export_module(*make_model("resnet8", choice), {at::zeros({2, 3, 8, 8})}, {.train = true});
}

QatOptions options(OptimizerKind optimizer = OptimizerKind::kSgd) {
  QatOptions options;
  options.train.epochs = 3;
  options.train.batch_size = 16;
  options.train.learning_rate = optimizer == OptimizerKind::kSgd ? 0.05 : 0.005;
  options.train.optimizer.kind = optimizer;
  options.freeze_observers_after = 1;
  options.freeze_bn_after = 2;
  return options;
}

struct CutHere {};

// Saves after each step into `folder`, and is cut off behind step `cut_behind`; 0: to the end.
TrainHooks kept(Checkpoints& checkpoints, int64_t cut_behind, State* last) {
  TrainHooks hooks;
  hooks.on_start = [&checkpoints](const ModelHandle& model, TrainState& state) { checkpoints.resume(model, state); };
  hooks.on_state = [&checkpoints, cut_behind, last](const ModelHandle& model, const TrainState& state) {
    checkpoints.save_if_due(model, state);
    last->clear();
    for (const auto& [name, tensor] : state_of(model)) last->emplace(name, tensor.detach().clone());
    if (cut_behind > 0 && state.step == cut_behind) throw CutHere();
  };
  return hooks;
}

void expect_equal(const State& got, const State& wanted, const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size());
  for (const auto& [name, tensor] : wanted) EXPECT_TRUE(at::equal(got.at(name), tensor)) << what << ": " << name;
}

// A run, cut off as often as said and begun again each time as a new process would: from the files alone.
State trained(bool quantizes, OptimizerKind optimizer, const std::vector<int64_t>& cuts, TrainResult* result,
              const std::function<void(QatOptions&)>& change = {}) {
  const test::TemporaryFolder folder;
  State last;
  for (size_t attempt = 0; attempt <= cuts.size(); ++attempt) {
    Checkpoints checkpoints({.folder = folder.path(), .every_seconds = 0}, kFacts);
    const TrainHooks hooks = kept(checkpoints, attempt < cuts.size() ? cuts[attempt] : 0, &last);
    at::manual_seed(100 + attempt);
    const auto run = [&] {
      QatOptions choice = options(optimizer);
      if (change) change(choice);
      if (!quantizes) {
        *result = train(model_handle(small_graph()), noise(64, 1), choice.train, hooks, noise(20, 2));
        return;
      }
      NeutronOptions neutron;
      neutron.is_qat = true;
      NeutronQuantizer quantizer(neutron);
      *result = train_qat(small_graph(), quantizer, noise(64, 1), choice, hooks, noise(20, 2)).training;
    };
    if (attempt < cuts.size()) {
      EXPECT_THROW(run(), CutHere);
    } else {
      run();
    }
  }
  return last;
}

TEST(Checkpoints, ARunThatIsCutOffEndsInTheSameBits) {
  for (const bool quantizes : {false, true}) {
    for (const OptimizerKind optimizer : {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
      TrainResult undisturbed, cut;
      const State wanted = trained(quantizes, optimizer, {}, &undisturbed);
      const State got = trained(quantizes, optimizer, {1, 4, 6, 9}, &cut);  // four steps an epoch
      expect_equal(got, wanted, quantizes ? "qat" : "float");
      ASSERT_EQ(cut.epochs.size(), undisturbed.epochs.size());
      for (size_t i = 0; i < cut.epochs.size(); ++i) {
        EXPECT_EQ(cut.epochs[i].loss, undisturbed.epochs[i].loss);
        EXPECT_EQ(cut.epochs[i].evaluation->loss, undisturbed.epochs[i].evaluation->loss);
      }
      EXPECT_EQ(cut.best_epoch, undisturbed.best_epoch);
      EXPECT_EQ(cut.samples, undisturbed.samples);
    }
  }
}

// The begin is made anew of what a checkpoint holds, in the middle of an epoch too.
TEST(Checkpoints, ARunWithAFrozenBeginInIntegersEndsInTheSameBits) {
  const auto run = [](bool in_integers, const std::vector<int64_t>& cuts, TrainResult* result) {
    return trained(true, OptimizerKind::kSgd, cuts, result, [&](QatOptions& choice) {
      choice.freeze = "0.5";
      choice.integer_prefix = in_integers;
    });
  };
  TrainResult undisturbed, cut, in_float;
  const State wanted = run(true, {}, &undisturbed);
  expect_equal(run(true, {1, 4, 6, 9}, &cut), wanted, "frozen begin");
  run(false, {}, &in_float);
  EXPECT_EQ(undisturbed.epochs.at(0).loss, in_float.epochs.at(0).loss);
  EXPECT_NE(undisturbed.epochs.at(1).loss, in_float.epochs.at(1).loss) << "nothing ran in integers";
  EXPECT_EQ(undisturbed.epochs.at(2).loss, cut.epochs.at(2).loss);
}

// Which channels are trained is a part of the state, and is chosen anew behind every third step.
TEST(Checkpoints, ARunThatTrainsAShareOfTheChannelsEndsInTheSameBits) {
  for (const OptimizerKind optimizer : {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    const auto run = [&](const std::vector<int64_t>& cuts) {
      TrainResult result;
      return trained(true, optimizer, cuts, &result, [](QatOptions& choice) {
        choice.update = {.share = 0.25, .scope = UpdateScope::kNetwork, .every = 3};
        choice.train.optimizer.weight_decay = 0.01;
      });
    };
    expect_equal(run({1, 4, 6, 9}), run({}), "a share of the channels");
  }
}

// All that a recipe adds to the state: averages, the best epoch, learned scales, statistics found anew.
TEST(Checkpoints, ARunByARecipeThatIsCutOffEndsInTheSameBits) {
  for (const bool learns_scales : {false, true}) {
    const auto run = [&](const std::vector<int64_t>& cuts) {
      const test::TemporaryFolder folder;
      State last;
      for (size_t attempt = 0; attempt <= cuts.size(); ++attempt) {
        Checkpoints checkpoints({.folder = folder.path(), .every_seconds = 0}, kFacts);
        const TrainHooks hooks = kept(checkpoints, attempt < cuts.size() ? cuts[attempt] : 0, &last);
        at::manual_seed(200 + attempt);
        NeutronOptions neutron;
        neutron.is_qat = true;
        NeutronQuantizer quantizer(neutron);
        const auto graph = small_graph();
        QatOptions choice = options();
        choice.learn_scales = learns_scales;
        choice.train.accumulate = 2;
        choice.train.batch_size = 8;
        choice.train.clip_norm = 1;
        choice.train.average = 0.9;
        choice.train.patience = 2;
        choice.train.reestimate_batches = 3;
        choice.train.task = distilled(classification(0.1), model_handle(graph->copy()), {});
        const auto train_on = [&] { train_qat(graph, quantizer, noise(64, 1), choice, hooks, noise(20, 2)); };
        if (attempt < cuts.size()) {
          EXPECT_THROW(train_on(), CutHere);
        } else {
          train_on();
          last = state_of(model_handle(graph));  // as it was converted
        }
      }
      return last;
    };
    const State wanted = run({});
    expect_equal(run({1, 4, 6, 8, 9}), wanted, learns_scales ? "learned scales" : "observed ranges");
  }
}

/// A run of three epochs in a folder, and what is needed to go on with it.
class CheckpointFolder : public testing::Test {
 protected:
  void train_once(int64_t keep = 3) {
    Checkpoints checkpoints({.folder = folder_.path(), .keep = keep, .every_seconds = 0}, kFacts);
    State last;
    train(model_handle(small_graph()), noise(64, 1), options().train, kept(checkpoints, 0, &last), noise(20, 2));
  }

  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) names.insert(entry.path().filename().string());
    return names;
  }

  // Steps behind which a run with these facts would go on.
  int64_t resumed(const RunFacts& facts = kFacts, std::shared_ptr<GraphModule> graph = small_graph(),
                  OptimizerKind optimizer = OptimizerKind::kSgd, const std::set<std::string>& usual = {}) const {
    const ModelHandle model = model_handle(std::move(graph));
    TrainState state = Trainer(model, noise(64, 1), options(optimizer).train).start();
    const bool found = Checkpoints({.folder = folder_.path()}, facts, usual).resume(model, state);
    return found ? state.step : -1;
  }

  test::TemporaryFolder folder_;
};

TEST_F(CheckpointFolder, KeepsTheLastAndTheBest) {
  train_once(2);
  EXPECT_EQ(files(), (std::set<std::string>{"step-00000011.ckpt", "step-00000012.ckpt", "best.ckpt"}));
  EXPECT_EQ(resumed(), 12);
}

TEST_F(CheckpointFolder, AnEmptyOneBeginsARun) { EXPECT_EQ(resumed(), -1); }

TEST_F(CheckpointFolder, GoesBackToOneThatIsWhole) {
  train_once();
  const std::string newest = folder_.file("step-00000012.ckpt");
  fs::resize_file(newest, fs::file_size(newest) / 2);
  EXPECT_EQ(resumed(), 11);
  std::ofstream(newest, std::ios::trunc) << "no zip";
  EXPECT_EQ(resumed(), 11);
}

TEST_F(CheckpointFolder, RefusesAnotherRun) {
  train_once();
  EXPECT_TRUE(fails_with(
      [&] {
        resumed({{"lr", "0.1"}, {"batch_size", "16"}});
      },
      "lr: expected 0.05, as the run was begun, got 0.1"));
  EXPECT_TRUE(fails_with(
      [&] {
        resumed({{"lr", "0.05"}, {"batch_size", "16"}, {"seed", "1"}});
      },
      "seed: expected nothing"));
  EXPECT_TRUE(fails_with(
      [&] {
        resumed({{"lr", "0.05"}});
      },
      "batch_size: expected 16, as the run was begun, got nothing"));
  ModelOptions wide;
  wide.num_classes = 5;
  EXPECT_TRUE(fails_with(
      [&] {
        resumed(kFacts, export_module(*make_model("resnet8", wide), {at::zeros({2, 3, 8, 8})}, {.train = true}));
      },
      "sizes of '"));
  EXPECT_TRUE(fails_with([&] { resumed(kFacts, small_graph(), OptimizerKind::kAdamW); },
                         "holds the state of another optimizer"));
}

// A setting that came with a later version: the run had what is usual, and goes on.
TEST_F(CheckpointFolder, GoesOnFromAnEarlierVersions) {
  train_once();
  const RunFacts later = {{"lr", "0.05"}, {"batch_size", "16"}, {"jolt", "0"}};
  EXPECT_EQ(resumed(later, small_graph(), OptimizerKind::kSgd, {"jolt"}), 12);
  EXPECT_TRUE(fails_with([&] { resumed(later); }, "jolt: expected nothing, as the run was begun, got 0"));
}

// Names of files need not be UTF-8.
TEST_F(CheckpointFolder, GoesOnWithDataOfAnyName) {
  const RunFacts facts = {{"data", "npy:caf\xe9"}};
  Checkpoints checkpoints({.folder = folder_.path(), .every_seconds = 0}, facts);
  State last;
  train(model_handle(small_graph()), noise(64, 1), options().train, kept(checkpoints, 0, &last), noise(20, 2));
  EXPECT_EQ(resumed(facts), 12);
}

// Settings within a fact are told by their names, not as the whole.
TEST_F(CheckpointFolder, NamesTheSettingWithinAFact) {
  Checkpoints checkpoints({.folder = folder_.path(), .every_seconds = 0}, {{"quantizer", R"({"a": "x", "b": [1]})"}});
  State last;
  train(model_handle(small_graph()), noise(64, 1), options().train, kept(checkpoints, 0, &last), noise(20, 2));
  const auto with = [&](const std::string& text) {
    return resumed({{"quantizer", text}}, small_graph(), OptimizerKind::kSgd, {"quantizer.c"});
  };
  EXPECT_EQ(with(R"({"b": [1], "a": "x"})"), 12);
  EXPECT_EQ(with(R"({"a": "x", "b": [1], "c": false})"), 12);
  EXPECT_TRUE(
      fails_with([&] { with(R"({"a": "y", "b": [1]})"); }, "quantizer.a: expected x, as the run was begun, got y"));
  EXPECT_TRUE(
      fails_with([&] { with(R"({"a": "x"})"); }, "quantizer.b: expected [1], as the run was begun, got nothing"));
}

TEST_F(CheckpointFolder, RefusesWhatIsNoCheckpoint) {
  train_once(1);
  const StateDict all = load_state_dict(folder_.file("step-00000012.ckpt"));
  const auto rewrite = [&](const std::string& left_out) {
    std::vector<SavedTensor> tensors;
    for (const auto& [name, tensor] : all) {
      if (name != left_out) tensors.push_back({name, tensor, false, false});
    }
    atomic_write(folder_.file("step-00000012.ckpt"), torch_save_bytes(tensors));
  };
  rewrite("run");
  EXPECT_TRUE(fails_with([&] { resumed(); }, "is no checkpoint of a run"));
  rewrite("random");
  EXPECT_TRUE(fails_with([&] { resumed(); }, "it has no bytes 'random'"));
  for (const auto& [name, tensor] : all) {
    if (name.rfind("model:", 0) != 0) continue;
    rewrite(name);
    EXPECT_TRUE(fails_with([&] { resumed(); }, "of the model is missing"));
    break;
  }
}

TEST(Checkpoints, AFolderThatCannotBeMadeIsToldAtOnce) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.file("file")) << "x";
  EXPECT_TRUE(fails_with([&] { Checkpoints({.folder = folder.file("file/run")}, {}); }, "can't be made"));
}

TEST(Checkpoints, DataAreToldApart) {
  EXPECT_EQ(fingerprint(*noise(8, 1)), fingerprint(*noise(8, 1)));
  EXPECT_NE(fingerprint(*noise(8, 1)), fingerprint(*noise(8, 2)));
  EXPECT_NE(fingerprint(*noise(8, 1)), fingerprint(*noise(9, 1)));
}

TEST(Checkpoints, ALossThatIsNoNumberNamesTheLayer) {
  const auto graph = small_graph();
  std::string poisoned;
  for (const std::string& name : graph->attr_names()) {
    if (graph->attr_kind(name) == AttrKind::kParameter && graph->attr(name).dim() == 4) poisoned = name;
  }
  const at::NoGradGuard no_grad;
  graph->attr(poisoned).fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(fails_with(
      [&] {
        const at::AutoGradMode with_gradients(true);
        train(model_handle(graph), noise(64, 1), options().train);
      },
      "it begins where [" + poisoned + "] holds NaN"));
}

}  // namespace
}  // namespace octet
