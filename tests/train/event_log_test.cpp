// What TensorBoard is told of a run, and of one that is cut off and goes on.
#include "octet/train/event_log.h"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "octet/graph/record.h"
#include "octet/models/registry.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/checkpoints.h"
#include "octet/train/qat.h"
#include "tests/formats/event_reader.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

struct CutOff {};

std::shared_ptr<DataSource> pictures_of_noise(int64_t count) {
  auto generator = at::detail::createCPUGenerator(3);
  at::Tensor images = at::randn({count, 3, 8, 8}, generator, at::kFloat);
  return tensor_source("noise", {images}, at::randint(4, {count}, generator, at::kLong), 4);
}

// Four steps an epoch, three epochs; saved after each step, and cut off where `cut` says so.
TrainResult run_with_events(const test::TemporaryFolder& folder, const std::function<bool(const TrainState&)>& cut) {
  at::manual_seed(5);
  ModelOptions choice;
  choice.num_classes = 4;
  const auto graph = export_module(*make_model("resnet8", choice), {at::zeros({2, 3, 8, 8})}, {.train = true});
  NeutronOptions neutron;
  neutron.is_qat = true;
  NeutronQuantizer quantizer(neutron);
  QatOptions options;
  options.train.epochs = 3;
  options.train.batch_size = 16;
  options.train.learning_rate = 0.05;
  Checkpoints checkpoints({.folder = folder.file("kept"), .every_seconds = 0}, {});
  TrainHooks kept;
  kept.on_start = [&](const ModelHandle& model, TrainState& state) { checkpoints.resume(model, state); };
  kept.on_state = [&](const ModelHandle& model, const TrainState& state) {
    if (cut && cut(state)) throw CutOff();  // behind a step that was told of, and is not saved
    checkpoints.save_if_due(model, state);
  };
  EventLog events(folder.file("events"));
  return train_qat(graph, quantizer, pictures_of_noise(64), options, events.hooks(kept), pictures_of_noise(20))
      .training;
}

std::map<std::string, std::vector<std::pair<int64_t, float>>> scalars_of(const std::vector<test::ReadEvent>& events) {
  std::map<std::string, std::vector<std::pair<int64_t, float>>> all;
  for (const test::ReadEvent& event : events) {
    for (const auto& [tag, value] : event.scalars) all[tag].emplace_back(event.step, value);
  }
  return all;
}

TEST(EventLog, TellsOfStepsAndEpochs) {
  const test::TemporaryFolder folder;
  const TrainResult result = run_with_events(folder, {});
  const auto events = test::read_event_folder(folder.file("events"));
  const auto scalars = scalars_of(events);
  for (const char* tag : {"step/loss", "step/learning_rate", "step/samples_per_second", "step/waiting"}) {
    ASSERT_EQ(scalars.at(tag).size(), 12U) << tag;
    for (int64_t step = 0; step < 12; ++step) EXPECT_EQ(scalars.at(tag)[static_cast<size_t>(step)].first, step) << tag;
  }
  EXPECT_FLOAT_EQ(scalars.at("step/learning_rate")[0].second, 0.05F);
  EXPECT_LT(scalars.at("step/learning_rate")[11].second, 0.002F);
  for (const auto& [step, value] : scalars.at("step/waiting")) EXPECT_TRUE(value >= 0 && value <= 1);
  for (size_t epoch = 0; epoch < 3; ++epoch) {
    const EpochInfo& info = result.epochs[epoch];
    const auto at = static_cast<int64_t>(4 * (epoch + 1));
    const auto told = [&](const char* tag, double value) {
      EXPECT_EQ(scalars.at(tag).at(epoch).first, at) << tag;
      EXPECT_FLOAT_EQ(scalars.at(tag)[epoch].second, static_cast<float>(value)) << tag;
    };
    told("epoch/train_loss", info.loss);
    told("epoch/train_top1", info.scores[0].value);
    told("epoch/test_loss", info.evaluation->loss);
    told("epoch/test_top1", info.evaluation->scores[0].value);
    told("epoch/samples_per_second", info.samples_per_second);
  }
  const auto histograms = std::count_if(events.begin(), events.end(), [](const test::ReadEvent& event) {
    const auto found = event.histograms.find("weights/fc.weight");
    return found != event.histograms.end() && found->second.limits.size() == 64 &&
           found->second.numbers[2] == std::accumulate(found->second.counts.begin(), found->second.counts.end(), 0.0);
  });
  EXPECT_EQ(histograms, 3);
  EXPECT_TRUE(
      std::any_of(scalars.begin(), scalars.end(), [](const auto& each) { return each.first.rfind("range/", 0) == 0; }));
}

// Steps that are made again, and epochs told of before the state behind them was saved, count once.
TEST(EventLog, ARunThatGoesOnDoublesNothing) {
  const test::TemporaryFolder undisturbed, cut;
  run_with_events(undisturbed, {});
  const auto behind = [](int64_t step, bool behind_the_epoch) {
    return
        [=](const TrainState& state) { return state.step == step && (state.tally.batches == 0) == behind_the_epoch; };
  };
  EXPECT_THROW(run_with_events(cut, behind(2, false)), CutOff);
  EXPECT_THROW(run_with_events(cut, behind(4, true)), CutOff);
  EXPECT_THROW(run_with_events(cut, behind(5, false)), CutOff);
  EXPECT_THROW(run_with_events(cut, behind(8, false)), CutOff);
  run_with_events(cut, {});
  auto wanted = scalars_of(test::read_event_folder(undisturbed.file("events")));
  auto got = scalars_of(test::read_event_folder(cut.file("events")));
  for (auto* each : {&wanted, &got}) {
    std::erase_if(*each, [](const auto& item) {
      return item.first.find("per_second") != std::string::npos || item.first.find("waiting") != std::string::npos;
    });
  }
  EXPECT_EQ(got, wanted);
}

}  // namespace
}  // namespace octet
