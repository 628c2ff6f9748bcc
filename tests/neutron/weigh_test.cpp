#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "octet/targets/engine/weigh_settings.h"

#include "../engine/graph_builder.h"
#include "octet/support/error.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/targets.h"

namespace octet {
namespace {

using targets::QuantizerOptions;
using targets::Target;
using targets::Weighing;
using test::GraphBuilder;
using Samples = std::vector<std::vector<at::Tensor>>;

std::shared_ptr<const Target> neutron() { return all_targets().find("imxrt700"); }

Weighing weighed(const GraphModule& model, const Samples& samples, QuantizerOptions options = {}) {
  return weigh_settings(model, samples, options, neutron());
}

// A norm and a gelu between layers, over `rows` rows.
std::shared_ptr<GraphModule> network(int64_t rows = 8) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* x = g.input({rows, 16});
  const std::vector<int64_t> width = {16};
  Node* norm = g.call("aten.layer_norm.default",
                      {g.linear("a", x, 16, 16), width, g.parameter("weight", width), g.parameter("bias", width)});
  return g.finish({g.linear("c", g.call("aten.gelu.default", {g.linear("b", norm, 16, 16)}), 16, 4)});
}

Samples samples_of(int64_t rows, int64_t count) {
  Samples samples;
  for (int64_t i = 0; i < count; ++i) samples.push_back({at::randn({rows, 16})});
  return samples;
}

TEST(WeighSettings, BringsToTheNpuWhatCostsLittle) {
  at::manual_seed(4);
  GraphBuilder g;
  const auto model =
      g.finish({g.linear("b", g.call("aten.gelu.default", {g.linear("a", g.input({8, 16}), 16, 16)}), 16, 4)});
  const Weighing found = weighed(*model, samples_of(8, 6));
  ASSERT_EQ(found.candidates.size(), 2U);  // the model has no norm
  const Weighing::Candidate& exact = found.candidates[0];
  const Weighing::Candidate& whole = found.candidates[1];
  EXPECT_EQ(exact.text(), "gelu float");
  EXPECT_EQ(exact.on_cpu, 1);
  EXPECT_EQ(exact.partitions, 2);
  EXPECT_EQ(whole.text(), "gelu tanh");
  EXPECT_EQ(whole.on_cpu, 0);
  EXPECT_EQ(whole.partitions, 1);
  EXPECT_GE(whole.sqnr_db, exact.sqnr_db - targets::kMostLossDb);
  EXPECT_EQ(found.chosen, 1U);
  EXPECT_EQ(found.options.settings.at("gelu"), "tanh");
  EXPECT_EQ(found.options.settings.at("norms"), "float");
  EXPECT_EQ(test::ops_of(*model), "linear.default gelu.default linear.default");
}

// One row of 256: every `step`-th is a sign, as many of each, zeros between.
std::vector<at::Tensor> row_of_signs(int64_t step) {
  at::Tensor x = at::zeros({1, 256});
  x.view({-1, step}).select(1, 0).copy_(at::randperm(256 / step) % 2 * 2 - 1);
  return {x};
}

// The norm of rows beyond those that calibrate loses in integers, gelu does not: each is tried alone.
TEST(WeighSettings, LeavesInFloatWhatCostsMuch) {
  at::manual_seed(5);
  GraphBuilder g;
  Node* norm = g.call("aten.layer_norm.default", {g.input({1, 256}), std::vector<int64_t>{256}});
  Node* plain = g.call("aten.linear.default", {norm, g.tensor("as_it_is", at::eye(256))});
  const auto model = g.finish({g.linear("c", g.call("aten.gelu.default", {plain}), 256, 4)});
  const Samples mixed = {row_of_signs(16), row_of_signs(1), row_of_signs(16), row_of_signs(1)};
  const Weighing found = weighed(*model, mixed);
  ASSERT_EQ(found.candidates.size(), 4U);
  EXPECT_EQ(found.candidates[1].text(), "gelu tanh, norms integer");
  EXPECT_EQ(found.candidates[1].partitions, 1);
  EXPECT_LT(found.candidates[1].sqnr_db, found.candidates[0].sqnr_db - targets::kMostLossDb);
  EXPECT_EQ(found.candidates[found.chosen].text(), "gelu tanh, norms float");
  EXPECT_EQ(found.options.settings.at("norms"), "float");
  EXPECT_EQ(found.options.settings.at("gelu"), "tanh");
}

// One row a sample: on those that calibrate it has one sum of squares, on the others sixteen times that.
TEST(WeighSettings, LooksAtSamplesThatDidNotCalibrate) {
  at::manual_seed(5);
  GraphBuilder g;
  const std::vector<int64_t> width = {256};
  Node* norm = g.call("aten.layer_norm.default", {g.input({1, 256}), width});
  const auto model = g.finish({g.call("aten.linear.default", {norm, g.tensor("as_it_is", at::eye(256))})});
  const Samples sparse = {row_of_signs(16), row_of_signs(16), row_of_signs(16), row_of_signs(16)};
  EXPECT_EQ(weighed(*model, sparse).options.settings.at("norms"), "integer");
  const Samples mixed = {row_of_signs(16), row_of_signs(1), row_of_signs(16), row_of_signs(1)};
  const Weighing found = weighed(*model, mixed);
  ASSERT_EQ(found.candidates.size(), 2U);
  EXPECT_LT(found.candidates[1].sqnr_db, found.candidates[0].sqnr_db - 6.0);
  EXPECT_EQ(found.options.settings.at("norms"), "float");
  // The first half reaches what the second shows, not the other way round: of so few each calibrates in turn.
  const Samples turned = {row_of_signs(1), row_of_signs(16), row_of_signs(1), row_of_signs(16)};
  EXPECT_EQ(weighed(*model, turned).options.settings.at("norms"), "float");
}

// One gelu of nine operators that stay on the CPU.
TEST(WeighSettings, LeavesExactWhatBringsLittle) {
  at::manual_seed(6);
  GraphBuilder g;
  Node* x = g.call("aten.gelu.default", {g.linear("a", g.input({8, 16}), 16, 16)});
  for (int i = 0; i < 8; ++i) x = g.call("aten.erf.default", {g.linear(octet::str("b", i), x, 16, 16)});
  const auto model = g.finish({g.linear("c", x, 16, 4)});
  const Weighing found = weighed(*model, samples_of(8, 4));
  ASSERT_EQ(found.candidates.size(), 2U);
  EXPECT_EQ(found.candidates[0].on_cpu, 9);
  EXPECT_EQ(found.candidates[1].on_cpu, 8);
  EXPECT_EQ(found.chosen, 0U);
  EXPECT_EQ(found.options.settings.at("gelu"), "float");
}

TEST(WeighSettings, WhatChangesNothingAndWhatIsGivenIsNotWeighed) {
  GraphBuilder g;
  const auto plain = g.finish({g.linear("a", g.input({8, 16}), 16, 4)});
  EXPECT_TRUE(weighed(*plain, samples_of(8, 2)).candidates.empty());
  const auto model = network();
  const Weighing unseen = weighed(*model, {});
  EXPECT_TRUE(unseen.candidates.empty());
  EXPECT_EQ(unseen.options.settings.at("norms"), "float");
  const Weighing given = weighed(*model, samples_of(8, 2), {.settings = {{"norms", "integer"}, {"gelu", "float"}}});
  EXPECT_TRUE(given.candidates.empty());
  EXPECT_EQ(given.options.settings.at("norms"), "integer");
}

// Where its passes fail, and where they fail only once it is quantized, which runs without gradients.
TEST(WeighSettings, AFormThatCannotBeQuantizedIsLeftOut) {
  for (const bool always : {true, false}) {
    auto broken = std::make_shared<Target>(*neutron());
    broken->passes = [passes = broken->passes, always](const QuantizerOptions& options) {
      std::vector<targets::Pass> all = passes(options);
      const bool breaks = options.settings.at("norms") == "integer";
      all.push_back({"break", [=](GraphModule&) -> bool {
                       if (breaks && (always || !at::GradMode::is_enabled())) throw Error("norm", "does not fit");
                       return false;
                     }});
      return all;
    };
    const Weighing found = weigh_settings(*network(), samples_of(8, 4), {}, broken);
    ASSERT_EQ(found.candidates.size(), 2U);
    EXPECT_EQ(found.candidates[1].text(), always ? "gelu tanh" : "gelu tanh, norms float");
    EXPECT_EQ(found.options.settings.at("norms"), "float");
    EXPECT_EQ(found.options.settings.at("gelu"), "tanh");
  }
}

TEST(WeighSettings, UnweighedAQuantizerIsExact) {
  const auto model = network();
  const targets::TableQuantizer standard(neutron());
  EXPECT_EQ(standard.options().settings.at("gelu"), targets::kWeighed);
  const auto explained = standard.explain(*model).model;
  EXPECT_EQ(test::ops_of(*explained), "linear.default layer_norm.default linear.default gelu.default linear.default");
  const QuantizerOptions whole = in_whole_form(*model, {}, neutron());
  EXPECT_EQ(whole.settings.at("norms"), "integer");
  EXPECT_NO_THROW(targets::TableQuantizer(neutron(), {.without_passes = {"decompose_norms", "decompose_gelu"}}));
}

}  // namespace
}  // namespace octet
