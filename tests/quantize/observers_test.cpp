#include "octet/quantize/observers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "octet/quantize/factories.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/support/error.h"

namespace octet {
namespace {

ObserverArgs per_channel(int64_t axis) {
  ObserverArgs args;
  args.qscheme = at::kPerChannelSymmetric;
  args.ch_axis = axis;
  args.quant_min = -127;
  args.quant_max = 127;
  return args;
}

TEST(MinMaxObserver, KeepsTheExtremesOfAllBatches) {
  MinMaxObserver observer(ObserverArgs{});
  EXPECT_FALSE(observer.has_data());
  const at::Tensor x = at::tensor({-1.0F, 2.0F});
  EXPECT_TRUE(observer.forward(x).is_same(x));
  observer.forward(at::tensor({0.5F, 7.0F}));
  observer.forward(at::tensor({-3.0F}));
  observer.forward(at::empty({0}));
  EXPECT_TRUE(observer.has_data());
  EXPECT_EQ(observer.min_val.item<float>(), -3.0F);
  EXPECT_EQ(observer.max_val.item<float>(), 7.0F);
  EXPECT_EQ(observer.calculate_qparams().scale.item<float>(), 10.0F / 255);
  observer.reset();
  EXPECT_FALSE(observer.has_data());
  EXPECT_EQ(observer.calculate_qparams().scale.item<float>(), 1.0F);
}

TEST(MinMaxObserver, WatchesWithoutTouchingTheGradient) {
  MinMaxObserver observer(ObserverArgs{});
  at::Tensor x = at::tensor({-1.0F, 2.0F}).set_requires_grad(true);
  observer.forward(x).sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), at::ones({2})));
  EXPECT_FALSE(observer.min_val.requires_grad());
}

TEST(MinMaxObserver, LeavesInfinitiesOutAndReportsNaN) {
  MinMaxObserver observer(ObserverArgs{});
  observer.forward(at::tensor({-INFINITY, 2.0F, -1.0F}));
  EXPECT_EQ(observer.min_val.item<float>(), -1.0F);
  observer.forward(at::full({3}, -INFINITY));
  EXPECT_EQ(observer.min_val.item<float>(), -1.0F);
  EXPECT_THROW(observer.forward(at::tensor({1.0F, std::numeric_limits<float>::quiet_NaN()})), Error);
}

TEST(MinMaxObserver, HalfTypesAndLayoutsAreFine) {
  MinMaxObserver observer(ObserverArgs{});
  observer.forward(at::tensor({-1.5F, 2.0F}).to(at::kBFloat16));
  EXPECT_EQ(observer.min_val.scalar_type(), at::kFloat);
  const at::Tensor x = at::randn({2, 3, 4, 4}).contiguous(at::MemoryFormat::ChannelsLast);
  observer.reset();
  observer.forward(x);
  EXPECT_EQ(observer.max_val.item<float>(), x.max().item<float>());
}

TEST(MovingAverageMinMaxObserver, AdoptsTheFirstAndFollowsTheRest) {
  MovingAverageMinMaxObserver observer(ObserverArgs{}, 0.25);
  observer.forward(at::tensor({-2.0F, 4.0F}));
  EXPECT_EQ(observer.min_val.item<float>(), -2.0F);
  observer.forward(at::tensor({-6.0F, 8.0F}));
  EXPECT_EQ(observer.min_val.item<float>(), -3.0F);
  EXPECT_EQ(observer.max_val.item<float>(), 5.0F);
}

TEST(PerChannelMinMaxObserver, KeepsARangeForEachIndexOfItsAxis) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({4, 3, 5, 2});
  const at::Tensor y = at::randn({4, 3, 5, 2});
  for (int64_t axis = 0; axis < 4; ++axis) {
    PerChannelMinMaxObserver observer(per_channel(axis));
    observer.forward(x);
    observer.forward(y);
    ASSERT_EQ(observer.min_val.numel(), x.size(axis));
    const QParams grid = observer.calculate_qparams();
    for (int64_t c = 0; c < x.size(axis); ++c) {
      const at::Tensor all = at::stack({x.select(axis, c), y.select(axis, c)});
      EXPECT_EQ(observer.min_val[c].item<float>(), all.min().item<float>());
      EXPECT_EQ(observer.max_val[c].item<float>(), all.max().item<float>());
      EXPECT_EQ(grid.scale[c].item<float>(), all.abs().max().item<float>() / 127);
    }
  }
}

TEST(PerChannelMinMaxObserver, ChannelsMustNotChange) {
  PerChannelMinMaxObserver observer(per_channel(0));
  observer.forward(at::randn({4, 3}));
  EXPECT_THROW(observer.forward(at::randn({5, 3})), Error);
  PerChannelMinMaxObserver deep(per_channel(3));
  EXPECT_THROW(deep.forward(at::randn({5, 3})), Error);
}

TEST(MovingAveragePerChannelMinMaxObserver, FollowsEachChannel) {
  MovingAveragePerChannelMinMaxObserver observer(per_channel(1), 0.5);
  observer.forward(at::tensor({-2.0F, 4.0F, 1.0F, 8.0F}).view({2, 2}));
  observer.forward(at::tensor({-4.0F, 0.0F, 3.0F, 0.0F}).view({2, 2}));
  EXPECT_TRUE(at::equal(observer.min_val, at::tensor({-3.0F, 2.0F})));
  EXPECT_TRUE(at::equal(observer.max_val, at::tensor({2.0F, 4.0F})));
}

TEST(Observers, RefuseASchemeOfTheOtherKind) {
  EXPECT_THROW(MinMaxObserver{per_channel(0)}, Error);
  EXPECT_THROW(PerChannelMinMaxObserver{ObserverArgs{}}, Error);
  EXPECT_THROW(HistogramObserver{per_channel(0)}, Error);
  ObserverArgs dynamic;
  dynamic.is_dynamic = true;
  EXPECT_THROW(MinMaxObserver{dynamic}, Error);
  EXPECT_THROW(MovingAverageMinMaxObserver{dynamic}, Error);
  MovingAverageMinMaxObserver latest(dynamic, 1.0);  // whose average is what it saw last
  latest.forward(at::tensor({-1.0F, 2.0F}));
  latest.forward(at::tensor({-3.0F, 1.0F}));
  EXPECT_EQ(latest.min_val.item<float>(), -3.0F);
  EXPECT_EQ(latest.max_val.item<float>(), 1.0F);
  ObserverArgs floating;
  floating.dtype = at::kFloat;
  EXPECT_THROW(MinMaxObserver{floating}, Error);
  EXPECT_EQ(PlaceholderObserver{floating}.args().dtype, at::kFloat);
}

TEST(Observers, UnsignedSymmetricCentresItsGrid) {
  ObserverArgs args;
  args.dtype = at::kByte;
  args.qscheme = at::kPerTensorSymmetric;
  MinMaxObserver observer(args);
  observer.forward(at::tensor({-1.0F, 2.0F}));
  EXPECT_EQ(observer.calculate_qparams().zero_point.item<int64_t>(), 128);
}

TEST(FixedQParamsObserver, GivesWhatItWasGiven) {
  FixedQParamsObserver observer(ObserverArgs{}, 1.0 / 256, -128);
  EXPECT_TRUE(observer.has_data());
  EXPECT_EQ(observer.calculate_qparams().scale.item<float>(), 1.0F / 256);
  EXPECT_EQ(observer.calculate_qparams().zero_point.item<int64_t>(), -128);
  EXPECT_EQ(observer.quant_max, 127);
}

TEST(Observers, SomeHaveNoParameters) {
  EXPECT_THROW(PlaceholderObserver(ObserverArgs{}).calculate_qparams(), Error);
  EXPECT_THROW(NoopObserver(ObserverArgs{}).calculate_qparams(), Error);
  RecordingObserver recorder{ObserverArgs{}};
  EXPECT_THROW(recorder.calculate_qparams(), Error);
  at::Tensor x = at::ones({2});
  recorder.forward(x);
  x.zero_();
  recorder.forward(x);
  ASSERT_EQ(recorder.recorded().size(), 2U);
  EXPECT_TRUE(at::equal(recorder.recorded()[0], at::ones({2})));
}

TEST(DerivedObserver, MultipliesTheScalesOfItsSources) {
  auto input = std::make_shared<MinMaxObserver>(ObserverArgs{});
  auto weight = std::make_shared<PerChannelMinMaxObserver>(per_channel(0));
  ObserverArgs args = per_channel(0);
  args.dtype = at::kInt;
  args.quant_min.reset();
  DerivedObserver bias(args, {input, weight}, bias_derivation());
  EXPECT_FALSE(bias.has_data());
  input->forward(at::tensor({-1.0F, 2.0F}));
  EXPECT_FALSE(bias.has_data());
  weight->forward(at::tensor({0.5F, -3.0F}).view({2, 1}));
  EXPECT_TRUE(bias.has_data());
  const QParams grid = bias.calculate_qparams();
  EXPECT_TRUE(at::equal(grid.scale, input->calculate_qparams().scale * weight->calculate_qparams().scale));
  EXPECT_TRUE(at::equal(grid.zero_point, at::zeros({2}, at::kLong)));
}

TEST(Derivations, AreFoundByName) {
  const QParams input{at::full({1}, 0.5F), at::zeros({1}, at::kLong)};
  const QParams weight{at::tensor({2.0F, 4.0F}), at::zeros({2}, at::kLong)};
  const auto scale = [&](const std::string& name) { return find_derivation(name).derive({input, weight}).scale; };
  EXPECT_TRUE(at::equal(scale("bias = input * weight"), at::tensor({1.0F, 2.0F})));
  EXPECT_TRUE(at::equal(scale("input * weight"), at::tensor({1.0F, 2.0F})));
  EXPECT_TRUE(at::equal(scale("bias = input * weight, tiled 2"), at::tensor({1.0F, 2.0F, 1.0F, 2.0F})));
  EXPECT_TRUE(at::equal(scale("input * weight for 4 channels"), at::tensor({1.0F, 2.0F, 1.0F, 2.0F})));
  EXPECT_THROW(scale("input * weight for 5 channels"), Error);
  for (const char* unknown : {"", "input + weight", "input * weight for x channels", "input * weight, tiled 0"}) {
    EXPECT_THROW(find_derivation(unknown), Error) << unknown;
  }
  register_derivation({"first", [](const std::vector<QParams>& from) { return from.at(0); }});
  EXPECT_TRUE(at::equal(scale("first"), input.scale));
}

TEST(Observers, CopiesAreDeepAndEqual) {
  at::manual_seed(2);
  const at::Tensor x = at::randn({3, 4});
  ObserverArgs custom;
  custom.quant_min = -100;
  custom.quant_max = 100;
  const std::vector<std::pair<ObserverFactory, ObserverArgs>> all = {
      {min_max_observer(0.01), custom},
      {moving_average_min_max_observer(0.3), custom},
      {per_channel_min_max_observer(), per_channel(1)},
      {moving_average_per_channel_min_max_observer(), per_channel(0)},
      {histogram_observer(1e-4, 64), custom},
      {fake_quantize(histogram_observer()), custom},
      {fused_moving_avg_fake_quantize(0.5), per_channel(1)}};
  for (const auto& [factory, args] : all) {
    const auto original = factory.make(args);
    original->forward(x);
    disable_observer(*original);
    const auto twin = std::dynamic_pointer_cast<ObserverBase>(original->copy());
    ASSERT_TRUE(twin) << factory.name;
    EXPECT_EQ(twin->type_name(), original->type_name());
    EXPECT_EQ(twin->quant_min, original->quant_min);
    EXPECT_EQ(twin->custom_range, original->custom_range);
    const auto mine = original->named_buffers();
    const auto theirs = twin->named_buffers();
    ASSERT_EQ(mine.size(), theirs.size());
    for (const auto& item : mine) {
      EXPECT_TRUE(at::equal(item.value(), theirs[item.key()])) << factory.name << " " << item.key();
      EXPECT_FALSE(item.value().is_alias_of(theirs[item.key()])) << factory.name << " " << item.key();
    }
  }
}

TEST(Factories, EqualSettingsHaveEqualNames) {
  EXPECT_EQ(histogram_observer().name, "HistogramObserver");
  EXPECT_EQ(histogram_observer(1.0 / 4096).name, "HistogramObserver(eps=2^-12)");
  EXPECT_EQ(fake_quantize(min_max_observer()).name, "FakeQuantize(MinMaxObserver)");
  EXPECT_EQ(fused_moving_avg_fake_quantize(0.5).name, "FusedMovingAvgObsFakeQuantize(averaging_constant=0.5)");
  EXPECT_EQ(histogram_observer(), histogram_observer());
  EXPECT_FALSE(histogram_observer() == min_max_observer());
}

}  // namespace
}  // namespace octet
