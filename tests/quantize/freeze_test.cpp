#include "octet/quantize/freeze.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/histogram_observer.h"
#include "octet/quantize/prepare.h"
#include "octet/quantize/quantize_pt2e.h"
#include "tests/quantize/test_nets.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

ObserverArgs grid_args(at::ScalarType dtype, at::QScheme scheme, int64_t axis = 0) {
  ObserverArgs args;
  args.dtype = dtype;
  args.qscheme = scheme;
  args.ch_axis = axis;
  return args;
}

// y = fake(x), z = fake(x) again, both results.
std::shared_ptr<GraphModule> around(const std::shared_ptr<ObserverBase>& fake, const TensorMeta& meta) {
  auto module = std::make_shared<GraphModule>();
  module->set_callable("fake", fake);
  Node* x = module->graph().placeholder("x");
  x->set_meta(meta);
  Node* first = module->graph().call_module("fake", {Arg(x)});
  first->set_meta(meta);
  module->graph().output({Arg(first), Arg(module->graph().call_module("fake", {Arg(first)}))});
  return module;
}

void expect_same_when_frozen(GraphModule& prepared, const at::Tensor& input, size_t fake_quantizers) {
  const at::NoGradGuard no_grad;
  prepared.apply(disable_observer);
  prepared.train(false);
  const auto plain = frozen(prepared);
  size_t count = 0;
  for (const Node* node : plain->graph().nodes()) {
    EXPECT_NE(node->kind(), NodeKind::kCallModule);
    count += node->is_call() && node->target().rfind("aten.fake_quantize", 0) == 0;
  }
  EXPECT_EQ(count, fake_quantizers);
  const auto got = plain->run({input});
  const auto wanted = prepared.run({input});
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(got[i], wanted[i])) << i;
}

TEST(Freeze, EveryKindOfFakeQuantizer) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({4, 6, 5}) * 3;
  const TensorMeta meta{at::kFloat, {4, 6, 5}};
  const auto seen = [&](std::shared_ptr<ObserverBase> fake) {
    fake->forward(x);
    return fake;
  };
  for (const at::ScalarType dtype : {at::kChar, at::kByte, at::kShort}) {
    for (const at::QScheme scheme : {at::kPerTensorAffine, at::kPerTensorSymmetric}) {
      const auto args = grid_args(dtype, scheme);
      expect_same_when_frozen(*around(seen(std::make_shared<FusedMovingAvgObsFakeQuantize>(args)), meta), x, 2);
      expect_same_when_frozen(
          *around(seen(std::make_shared<FakeQuantize>(std::make_shared<HistogramObserver>(args))), meta), x, 2);
    }
    for (const at::QScheme scheme : {at::kPerChannelAffine, at::kPerChannelSymmetric}) {
      const auto args = grid_args(dtype, scheme, 1);
      expect_same_when_frozen(*around(seen(std::make_shared<FusedMovingAvgObsFakeQuantize>(args)), meta), x, 2);
    }
  }
  expect_same_when_frozen(
      *around(std::make_shared<FixedQParamsFakeQuantize>(grid_args(at::kChar, at::kPerTensorAffine), 1.0 / 256, -128),
              meta),
      x, 2);
}

TEST(Freeze, BiasesOnTheAccumulatorsGrid) {
  at::manual_seed(4);
  const auto input = std::make_shared<FusedMovingAvgObsFakeQuantize>(grid_args(at::kChar, at::kPerTensorAffine));
  const auto weight = std::make_shared<FusedMovingAvgObsFakeQuantize>(grid_args(at::kChar, at::kPerChannelSymmetric));
  input->forward(at::randn({8}));
  weight->forward(at::randn({5, 8}));
  const auto bias = std::make_shared<DerivedFakeQuantize>(grid_args(at::kInt, at::kPerChannelSymmetric),
                                                          std::vector<std::shared_ptr<ObserverBase>>{input, weight},
                                                          bias_derivation());
  const at::Tensor x = at::cat({at::randn({3}), at::tensor({1e-9F, 1234.5F})});
  auto module = around(bias, {at::kFloat, {5}});
  module->set_callable("input", input);
  module->set_callable("weight", weight);
  expect_same_when_frozen(*module, x, 2);
}

TEST(Freeze, WhatIsOffOrSawNothingVanishes) {
  const at::Tensor x = at::randn({7});
  const TensorMeta meta{at::kFloat, {7}};
  const auto args = grid_args(at::kChar, at::kPerTensorAffine);
  expect_same_when_frozen(*around(std::make_shared<FusedMovingAvgObsFakeQuantize>(args), meta), x, 0);
  expect_same_when_frozen(*around(std::make_shared<MinMaxObserver>(args), meta), x, 0);
  auto off = std::make_shared<FusedMovingAvgObsFakeQuantize>(args);
  off->forward(x);
  off->enable_fake_quant(false);
  expect_same_when_frozen(*around(off, meta), x, 0);
}

TEST(Freeze, HalfTypesAreRoundedInFloat) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({64}).to(at::kHalf);
  auto fake = std::make_shared<FusedMovingAvgObsFakeQuantize>(grid_args(at::kChar, at::kPerTensorAffine));
  fake->forward(x);
  expect_same_when_frozen(*around(fake, {at::kHalf, {64}}), x, 2);
}

TEST(Freeze, LeavesThePreparedModelAlone) {
  const auto args = grid_args(at::kChar, at::kPerTensorAffine);
  auto module = around(std::make_shared<MinMaxObserver>(args), {at::kFloat, {7}});
  module->facts()[kStageFact] = kPrepared;
  module->train(true);
  const std::string text = module->graph().text();
  const auto plain = frozen(*module);
  EXPECT_EQ(module->graph().text(), text);
  EXPECT_TRUE(module->is_training());
  EXPECT_FALSE(plain->is_training());
  EXPECT_EQ(plain->facts().count(kStageFact), 0u);
  EXPECT_EQ(module->facts().count(kStageFact), 1u);
}

class Doubler : public CallableModule {
 public:
  Doubler() : CallableModule("Doubler") {}
  at::Tensor call(const std::vector<at::Tensor>& inputs) override { return inputs.at(0) * 2; }
  std::shared_ptr<CallableModule> copy() const override { return std::make_shared<Doubler>(); }
};

TEST(Freeze, NamesWhatItDoesNotKnow) {
  GraphModule module;
  module.set_callable("doubler", std::make_shared<Doubler>());
  Node* x = module.graph().placeholder("x");
  module.graph().output({Arg(module.graph().call_module("doubler", {Arg(x)}))});
  EXPECT_TRUE(test::fails_with([&] { frozen(module); }, "is a submodule that is no observer"));
}

}  // namespace
}  // namespace octet
