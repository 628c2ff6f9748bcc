#include "octet/quantize/fake_quantize.h"

#include <ATen/ops/fused_moving_avg_obs_fake_quant.h>
#include <gtest/gtest.h>

#include "octet/graph/graph_module.h"
#include "octet/quantize/decomposed_ops.h"
#include "octet/quantize/factories.h"
#include "octet/support/error.h"

namespace octet {
namespace {

ObserverArgs args_of(at::QScheme qscheme, int64_t axis = 0) {
  ObserverArgs args;
  args.qscheme = qscheme;
  args.ch_axis = axis;
  const bool symmetric = qscheme == at::kPerTensorSymmetric || qscheme == at::kPerChannelSymmetric;
  args.quant_min = symmetric ? -127 : -128;
  args.quant_max = 127;
  return args;
}

// What convert writes for this module: its parameters, through the operators of the quantized program.
at::Tensor converted(const ObserverBase& fake, const at::Tensor& x) {
  const QParams grid = fake.calculate_qparams();
  if (fake.is_per_channel()) {
    const at::Tensor q = decomposed::quantize_per_channel(x, grid.scale, grid.zero_point, fake.ch_axis, fake.quant_min,
                                                          fake.quant_max, fake.dtype);
    return decomposed::dequantize_per_channel(q, grid.scale, grid.zero_point, fake.ch_axis, fake.quant_min,
                                              fake.quant_max, fake.dtype);
  }
  const double scale = grid.scale.item<float>();
  const auto zero = grid.zero_point.item<int64_t>();
  const at::Tensor q = decomposed::quantize_per_tensor(x, scale, zero, fake.quant_min, fake.quant_max, fake.dtype);
  return decomposed::dequantize_per_tensor(q, scale, zero, fake.quant_min, fake.quant_max, fake.dtype);
}

TEST(FakeQuantize, TrainedGridEqualsConvertedGridToTheBit) {
  at::manual_seed(1);
  for (const double spread : {1e-5, 0.01, 1.0, 300.0}) {
    for (const double shift : {0.0, 2.0, -2.0}) {
      const at::Tensor x = (at::randn({4, 6, 5, 5}) + shift) * spread;
      const std::vector<ObserverArgs> schemes = {
          args_of(at::kPerTensorAffine), args_of(at::kPerTensorSymmetric), args_of(at::kPerChannelSymmetric, 0),
          args_of(at::kPerChannelSymmetric, 1), args_of(at::kPerChannelAffine, 3)};
      for (const ObserverArgs& args : schemes) {
        FusedMovingAvgObsFakeQuantize fake(args, 0.01, 1.0 / 4096);
        at::Tensor y;
        for (int step = 0; step < 3; ++step) y = fake.forward(x * (1 + 0.1 * step));
        EXPECT_TRUE(at::equal(y, converted(fake, x * 1.2))) << spread << " " << shift;
        EXPECT_TRUE(at::equal(fake.scale, fake.observer()->calculate_qparams().scale));
        EXPECT_TRUE(at::equal(fake.zero_point, fake.observer()->calculate_qparams().zero_point));
        EXPECT_GE(fake.scale.min().item<float>(), 1.0F / 4096);  // eps holds in training too
      }
    }
  }
}

TEST(FakeQuantize, KernelGridRoundsAsTheReferencesKernel) {
  at::manual_seed(3);
  ObserverArgs bits16 = args_of(at::kPerTensorAffine);
  bits16.dtype = at::kInt;
  bits16.quant_min = 0;
  bits16.quant_max = 65535;
  for (const ObserverArgs& args :
       {args_of(at::kPerTensorAffine), args_of(at::kPerTensorSymmetric), args_of(at::kPerChannelSymmetric), bits16}) {
    const bool per_channel = args.qscheme == at::kPerChannelSymmetric;
    const bool symmetric = per_channel || args.qscheme == at::kPerTensorSymmetric;
    for (const double shift : {0.0, 5.0, -5.0}) {
      const ObserverFactory average =
          per_channel ? moving_average_per_channel_min_max_observer() : moving_average_min_max_observer();
      const auto ours = std::dynamic_pointer_cast<FakeQuantize>(kernel_grid_fake_quantize(average).make(args));
      const at::Tensor on = at::ones({1}, at::kLong);
      at::Tensor low = per_channel ? at::empty({0}) : at::full({}, INFINITY);
      at::Tensor high = per_channel ? at::empty({0}) : at::full({}, -INFINITY);
      at::Tensor scale = at::ones({1}), zero_point = at::zeros({1}, at::kInt);
      for (int step = 0; step < 3; ++step) {
        const at::Tensor x = (at::randn({4, 30}) * 0.3 + shift) * (1 + step);
        const at::Tensor theirs = at::fused_moving_avg_obs_fake_quant(
            x, on, on, low, high, scale, zero_point, 0.01, *args.quant_min, *args.quant_max, 0, per_channel, symmetric);
        const std::string where = octet::str(args.qscheme == at::kPerTensorAffine, per_channel, shift, ' ', step);
        EXPECT_TRUE(at::allclose(ours->forward(x), theirs, 0, 1e-6)) << where;
        EXPECT_TRUE(at::equal(ours->scale, scale)) << where;
        EXPECT_TRUE(at::equal(ours->zero_point, zero_point.to(at::kLong))) << where;
      }
      EXPECT_TRUE(at::equal(ours->calculate_qparams().scale, ours->observer()->calculate_qparams().scale));
    }
  }
}

// Value and gradient of the formula, by autograd alone: round passes the gradient, clipping cuts it, the ends of the
// grid belong to it. (Where a value lies on the bound, clamp's own gradient is 1 in libtorch 2.13 and not in 2.14.)
at::Tensor formula(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point, int64_t low,
                   int64_t high) {
  const at::Tensor steps = x * at::reciprocal(scale);
  const at::Tensor rounded = steps + (at::round(steps) - steps).detach();
  const at::Tensor level = rounded + zero_point;
  const at::Tensor clipped = at::clamp(level.detach(), static_cast<double>(low), static_cast<double>(high));
  const at::Tensor q = at::where(level.ge(low).logical_and(level.le(high)), level, clipped);
  return (q - zero_point) * scale;
}

TEST(FakeQuantize, GradientsAgreeWithAutogradOnTheFormula) {
  at::manual_seed(2);
  const at::Tensor data = at::randn({3, 4, 5}) * 2;
  const at::Tensor upstream = at::randn({3, 4, 5});
  const std::vector<std::pair<ObserverFactory, ObserverArgs>> all = {
      {fake_quantize(min_max_observer()), args_of(at::kPerTensorAffine)},
      {fake_quantize(histogram_observer()), args_of(at::kPerTensorAffine)},
      {fake_quantize(per_channel_min_max_observer()), args_of(at::kPerChannelAffine, 1)},
      {fused_moving_avg_fake_quantize(), args_of(at::kPerTensorSymmetric)},
      {fused_moving_avg_fake_quantize(), args_of(at::kPerChannelSymmetric, 2)},
  };
  for (const auto& [factory, args] : all) {
    const auto fake = std::dynamic_pointer_cast<FakeQuantize>(factory.make(args));
    fake->forward(data * 0.5);  // so that the range clips
    fake->enable_observer(false);
    at::Tensor ours = data.clone().set_requires_grad(true);
    at::Tensor theirs = data.clone().set_requires_grad(true);
    std::vector<int64_t> shape(3, 1);
    if (fake->is_per_channel()) shape[static_cast<size_t>(fake->ch_axis)] = -1;
    const at::Tensor y = fake->forward(ours);
    const at::Tensor expected =
        formula(theirs, fake->scale.view(shape), fake->zero_point.view(shape), fake->quant_min, fake->quant_max);
    y.backward(upstream);
    expected.backward(upstream);
    EXPECT_TRUE(at::allclose(y, expected, 1e-6, 1e-6)) << factory.name;
    EXPECT_TRUE(at::allclose(ours.grad(), theirs.grad(), 1e-5, 1e-6)) << factory.name;
    EXPECT_LT(ours.grad().count_nonzero().item<int64_t>(), data.numel()) << factory.name << " never clipped";
  }
}

TEST(FakeQuantize, SwitchesWorkByApply) {
  struct Holder : torch::nn::Module {};
  Holder model;
  auto fake = std::make_shared<FusedMovingAvgObsFakeQuantize>(ObserverArgs{});
  model.register_module("fake", fake);
  const at::Tensor x = at::tensor({-1.0F, 0.3F, 2.0F});

  model.apply(disable_fake_quant);
  EXPECT_TRUE(at::equal(fake->forward(x), x));
  const float scale = fake->scale.item<float>();
  EXPECT_NE(scale, 1.0F);  // still observing

  model.apply(enable_fake_quant);
  model.apply(disable_observer);
  EXPECT_FALSE(at::equal(fake->forward(x), x));
  fake->forward(x * 100);
  EXPECT_EQ(fake->scale.item<float>(), scale);

  model.apply(enable_observer);
  fake->forward(x * 100);
  EXPECT_GT(fake->scale.item<float>(), scale);
  EXPECT_EQ(fake->fake_quant_enabled.scalar_type(), at::kByte);
}

TEST(FakeQuantize, IsIdentityUntilItSawData) {
  FusedMovingAvgObsFakeQuantize fake(args_of(at::kPerChannelSymmetric));
  fake.enable_observer(false);
  const at::Tensor x = at::randn({3, 2});
  EXPECT_TRUE(at::equal(fake.forward(x), x));
  EXPECT_EQ(fake.forward(at::empty({0, 2})).numel(), 0);
}

TEST(FakeQuantize, TakesItsFieldsFromTheObserver) {
  FakeQuantize fake(std::make_shared<MinMaxObserver>(args_of(at::kPerTensorSymmetric)));
  EXPECT_EQ(fake.quant_min, -127);
  EXPECT_EQ(fake.qscheme, at::kPerTensorSymmetric);
  EXPECT_THROW(FakeQuantize{nullptr}, Error);
  EXPECT_THROW(FusedMovingAvgObsFakeQuantize(std::make_shared<MinMaxObserver>(ObserverArgs{})), Error);
}

TEST(FixedQParamsFakeQuantize, NeverMoves) {
  FixedQParamsFakeQuantize fake(ObserverArgs{}, 1.0 / 256, -128);
  const at::Tensor x = at::tensor({-0.5F, 0.1F, 0.9999F, 3.0F});
  const at::Tensor y = fake.forward(x);
  EXPECT_TRUE(at::equal(y, converted(fake, x)));
  EXPECT_EQ(y[0].item<float>(), 0.0F);
  EXPECT_EQ(y[3].item<float>(), 255.0F / 256);
  EXPECT_EQ(fake.scale.item<float>(), 1.0F / 256);
}

TEST(DerivedFakeQuantize, RoundsABiasToTheAccumulatorsGrid) {
  at::manual_seed(3);
  auto input = std::make_shared<FusedMovingAvgObsFakeQuantize>(args_of(at::kPerTensorAffine));
  auto weight = std::make_shared<FusedMovingAvgObsFakeQuantize>(args_of(at::kPerChannelSymmetric));
  ObserverArgs args;
  args.dtype = at::kInt;
  args.qscheme = at::kPerChannelSymmetric;
  DerivedFakeQuantize fake(args, {input, weight}, bias_derivation());
  at::Tensor bias = at::randn({4}).set_requires_grad(true);
  EXPECT_TRUE(fake.forward(bias).is_same(bias));  // the sources saw nothing yet
  input->forward(at::randn({2, 3}) * 20);
  weight->forward(at::randn({4, 3}));
  const at::Tensor y = fake.forward(bias);
  EXPECT_FALSE(at::equal(y, bias));
  EXPECT_TRUE(at::equal(y, converted(fake, bias.detach())));
  EXPECT_TRUE(at::allclose(y, bias, 0, (input->scale * weight->scale).max().item<float>() / 2));
  y.sum().backward();
  EXPECT_TRUE(at::equal(bias.grad(), at::ones({4})));
  fake.enable_fake_quant(false);
  EXPECT_TRUE(fake.forward(bias).is_same(bias));
}

TEST(DerivedFakeQuantize, CopiesFollowTheCopiesOfTheirSources) {
  auto input = std::make_shared<FusedMovingAvgObsFakeQuantize>(args_of(at::kPerTensorAffine));
  auto weight = std::make_shared<FusedMovingAvgObsFakeQuantize>(args_of(at::kPerTensorSymmetric));
  input->forward(at::tensor({-1.0F, 2.0F}));
  weight->forward(at::tensor({0.5F}));
  ObserverArgs args;
  args.dtype = at::kInt;
  GraphModule module;
  module.set_callable("input", input);
  module.set_callable("weight", weight);
  module.set_callable("bias", std::make_shared<DerivedFakeQuantize>(
                                  args, std::vector<std::shared_ptr<ObserverBase>>{input, weight}, bias_derivation()));
  const auto twin = module.copy();
  const auto bias = std::dynamic_pointer_cast<DerivedFakeQuantize>(twin->callable("bias"));
  EXPECT_EQ(bias->derived()->sources()[0].get(), twin->callable("input").get());
  EXPECT_EQ(bias->derived()->sources()[1].get(), twin->callable("weight").get());
}

}  // namespace
}  // namespace octet
