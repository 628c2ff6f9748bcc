// Two processes whose activations' ranges come of histograms, which observe while they train.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "octet/graph/record.h"
#include "octet/models/registry.h"
#include "octet/quantize/factories.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/spec.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/group.h"
#include "octet/train/qat.h"

namespace octet {
namespace {

constexpr const char* kSecondRank = "OCTET_HISTOGRAM_TEST_PORT";

// Annotates as Neutron's, with a histogram for each activation.
class HistogramsInTraining : public Quantizer {
 public:
  std::optional<QuantizationMode> mode() const override { return base_.mode(); }
  bool folds_batch_norms() const override { return base_.folds_batch_norms(); }
  void transform_for_annotation(GraphModule& module) override { base_.transform_for_annotation(module); }
  void annotate(GraphModule& module) override {
    base_.annotate(module);
    for (Node* node : module.graph().nodes()) {
      QuantizationAnnotation* note = annotation(*node);
      if (note != nullptr && note->output_qspec) watch_by_histogram(*note->output_qspec);
    }
  }
  void validate(GraphModule& module) override { base_.validate(module); }
  bool rounds_folded_biases() const override { return base_.rounds_folded_biases(); }
  bool joins_batch_norms() const override { return base_.joins_batch_norms(); }
  void transform_converted(GraphModule& module) override { base_.transform_converted(module); }

 private:
  static void watch_by_histogram(AnySpec& spec) {
    auto* plain = std::get_if<QuantizationSpec>(&spec);
    if (plain != nullptr && plain->observer_or_fake_quant.make) {
      plain->observer_or_fake_quant = fake_quantize(histogram_observer());
    }
  }
  NeutronQuantizer base_{NeutronTargetSpec("imxrt700"), /*is_qat=*/true};
};

using Histograms = std::map<std::string, at::Tensor>;

// Each histogram of the model behind a run, with its range: "NAME/histogram", "NAME/min_val", "NAME/max_val". The other
// process is checked for the same by the run itself.
Histograms trained_with(std::shared_ptr<Group> group) {
  at::set_num_threads(1);
  at::manual_seed(5);
  ModelOptions choice;
  choice.num_classes = 4;
  auto model = export_module(*make_model("resnet8", choice), {at::zeros({2, 3, 8, 8})}, {.train = true});
  auto generator = at::detail::createCPUGenerator(3);
  const at::Tensor images = at::randn({64, 3, 8, 8}, generator, at::kFloat);
  const at::Tensor labels = at::randint(4, {64}, generator, at::kLong);
  HistogramsInTraining quantizer;
  QatOptions options;
  options.train.epochs = 1;
  options.train.batch_size = 16;
  options.train.learning_rate = 1e-6;
  options.train.group = std::move(group);
  options.train.sync_batch_norm = options.train.group != nullptr;
  Histograms found;
  TrainHooks hooks;
  hooks.on_state = [&](const ModelHandle& handle, const TrainState&) {
    found.clear();
    for (const auto& [name, value] : state_of(handle)) {
      const std::string last = name.substr(name.rfind('/') + 1);
      if (last.find("histogram") != std::string::npos || last.find("_val") != std::string::npos) {
        found.emplace(name, value.detach().clone());
      }
    }
  };
  train_qat(model, quantizer, tensor_source("noise", {images}, labels, 4), options, hooks);
  return found;
}

TEST(HistogramsOfAGroup, AreThoseOfTheWholeBatch) {
  const char* second = std::getenv(kSecondRank);
  if (second != nullptr) {
    trained_with(join_group({.rank = 1, .size = 2, .port = std::atoll(second)}));
    return;
  }
  const Histograms alone = trained_with(nullptr);
  const int64_t port = 20000 + getpid() % 20000;
  std::string filter = "--gtest_filter=HistogramsOfAGroup.*", self = "/proc/self/exe";
  char* arguments[] = {self.data(), filter.data(), nullptr};
  setenv(kSecondRank, std::to_string(port).c_str(), 1);
  pid_t other = 0;
  ASSERT_EQ(posix_spawn(&other, self.c_str(), nullptr, nullptr, arguments, environ), 0);
  unsetenv(kSecondRank);
  const Histograms together = trained_with(join_group({.rank = 0, .size = 2, .port = port}));
  int status = 0;
  ASSERT_EQ(waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0) << "the second process";
  ASSERT_EQ(together.size(), alone.size());
  int64_t histograms = 0;
  for (const auto& [name, wanted] : alone) {
    const at::Tensor& got = together.at(name);
    if (name.find("histogram") == std::string::npos) {
      const double tolerance = 2e-2 * wanted.abs().max().item<double>() + 1e-6;
      EXPECT_TRUE(at::allclose(got, wanted, 0, tolerance)) << name << ": " << got << " for " << wanted;
      continue;
    }
    ++histograms;
    const double count = wanted.sum().item<double>();
    EXPECT_NEAR(got.sum().item<double>(), count, 1e-4 * count) << name << ": elements of all";
    // A sum in another order moves elements to the next bin, and ranges with it: where they lie stays.
    const at::Tensor moved = (got.cumsum(0) - wanted.cumsum(0)).abs().max();
    EXPECT_LT(moved.item<double>(), 0.03 * count) << name;
  }
  EXPECT_GT(histograms, 5);
}

}  // namespace
}  // namespace octet
