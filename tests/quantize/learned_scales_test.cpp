// Scales that are learned: gradients by their formula, and the grid that convert writes.
#include "octet/quantize/learned_scales.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "octet/quantize/codec.h"
#include "octet/quantize/factories.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

ObserverArgs int8_args(at::QScheme scheme, int64_t axis = 0) {
  return {.dtype = at::kChar, .quant_min = -127, .quant_max = 127, .qscheme = scheme, .ch_axis = axis};
}

std::shared_ptr<LearnedFakeQuantize> learning_on(const at::Tensor& data, ObserverArgs args, bool of_weight) {
  const bool per_channel = args.qscheme == at::kPerChannelSymmetric;
  const ObserverFactory observer = per_channel ? per_channel_min_max_observer() : min_max_observer();
  const auto made = learned_fake_quantize(fake_quantize(observer)).make(args);
  auto learned = std::dynamic_pointer_cast<LearnedFakeQuantize>(made);
  EXPECT_NE(learned, nullptr);
  learned->forward(data);
  learned->start_learning(of_weight);
  return learned;
}

// LSQ's formula, element by element in double.
struct Expected {
  double scale = 0, offset = 0;
};
Expected by_formula(const at::Tensor& x, const at::Tensor& gradient, double s, double z, double low, double high) {
  Expected sums;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double t = x.flatten()[i].item<double>() / s, g = gradient.flatten()[i].item<double>();
    const double q = std::nearbyint(t) + z;
    if (q < low || q > high) {
      sums.scale += g * ((q < low ? low : high) - z);
      sums.offset += g * -s;
    } else {
      sums.scale += g * (std::nearbyint(t) - t);
    }
  }
  return sums;
}

TEST(LearnedScales, GradientsFollowTheFormulaPerTensor) {
  at::manual_seed(1);
  for (const bool is_affine : {false, true}) {
    const at::Tensor seen = at::randn({4, 3, 5}) + (is_affine ? 0.7 : 0.0);
    auto learned = learning_on(seen, int8_args(is_affine ? at::kPerTensorAffine : at::kPerTensorSymmetric), false);
    at::Tensor x = (1.7 * seen).detach().requires_grad_(true);  // some of it is outside now
    const at::Tensor weights = at::randn_like(x);
    (learned->forward(x) * weights).sum().backward();
    const double s = learned->scale.item<double>();
    const auto z = learned->zero_point.item<double>();
    const double factor = 1 / std::sqrt(15.0 * (is_affine ? 254 : 127));  // features of a sample
    const Expected wanted = by_formula(x, weights, s, z, -127, 127);
    EXPECT_NEAR(learned->scale.grad().item<double>(), factor * wanted.scale, 1e-5 * std::abs(wanted.scale) + 1e-5);
    EXPECT_EQ(learned->learned().size(), is_affine ? 2u : 1u);
    if (is_affine) {
      EXPECT_NEAR(learned->offset.grad().item<double>(), factor * wanted.offset, 1e-5);
      EXPECT_NE(wanted.offset, 0);
    }
    const at::Tensor level = at::round(x.detach() / s) + z;
    EXPECT_TRUE(at::equal(x.grad(), weights.masked_fill(level.lt(-127).logical_or(level.gt(127)), 0)));
  }
}

TEST(LearnedScales, GradientsFollowTheFormulaPerChannel) {
  at::manual_seed(2);
  const at::Tensor seen = at::randn({3, 2, 4});
  auto learned = learning_on(seen, int8_args(at::kPerChannelSymmetric, 1), true);
  const at::Tensor x = 1.5 * seen, weights = at::randn_like(x);
  (learned->forward(x) * weights).sum().backward();
  ASSERT_EQ(learned->scale.grad().numel(), 2);
  const double factor = 1 / std::sqrt(12.0 * 127);  // weights that share a scale
  for (int64_t c = 0; c < 2; ++c) {
    const Expected wanted =
        by_formula(x.select(1, c), weights.select(1, c), learned->scale[c].item<double>(), 0, -127, 127);
    EXPECT_NEAR(learned->scale.grad()[c].item<double>(), factor * wanted.scale, 1e-4);
  }
}

// What training rounds to is the grid that is written, whatever the optimizer made of scale and offset.
TEST(LearnedScales, TheGridIsAValidOne) {
  const at::Tensor seen = at::linspace(-1, 3, 64).view({1, 64});
  auto learned = learning_on(seen, int8_args(at::kPerTensorAffine), false);
  const float start = learned->scale.item<float>();
  {
    const at::NoGradGuard no_grad;
    learned->scale.mul_(1.25);
    learned->offset.fill_(-30.4);
  }
  const at::Tensor y = learned->forward(seen).detach();
  const QParams grid = learned->calculate_qparams();
  EXPECT_EQ(grid.zero_point.item<int64_t>(), -30);
  EXPECT_FALSE(grid.scale.requires_grad());
  EXPECT_TRUE(at::equal(y, fake_quantize(seen, grid.scale, grid.zero_point, -1, -127, 127)));
  {
    const at::NoGradGuard no_grad;
    learned->scale.fill_(-1);
    learned->offset.fill_(1000);
  }
  // Behind an optimizer's last step, without a forward.
  const QParams last = learned->calculate_qparams();
  EXPECT_FLOAT_EQ(last.scale.item<float>(), start / 4);
  EXPECT_EQ(last.zero_point.item<int64_t>(), 127);
}

TEST(LearnedScales, FindTheScaleOfLeastError) {
  at::manual_seed(3);
  at::Tensor x = at::randn({1, 4000});
  x[0][0] = 60;  // one outlier has made the range
  auto learned = learning_on(x, int8_args(at::kPerTensorSymmetric), true);
  const auto error = [&] { return (learned->forward(x) - x).square().mean().item<double>(); };
  const double before = error();
  for (int step = 0; step < 300; ++step) {
    learned->scale.mutable_grad() = at::Tensor();
    (learned->forward(x) - x).abs().mean().backward();
    const at::NoGradGuard no_grad;
    learned->scale.sub_(learned->scale.grad().sign() * 0.001 * learned->scale);
  }
  EXPECT_LT(learned->scale.item<double>(), 60.0 / 127);
  EXPECT_LT((learned->forward(x) - x).abs().mean().item<double>(), 0.9 * std::sqrt(before));
}

TEST(LearnedScales, WhatFollowsHasTheSameGrid) {
  const at::Tensor seen = at::randn({2, 8});
  const auto args = int8_args(at::kPerTensorAffine);
  auto leader = learning_on(seen, args, false), follower = learning_on(2 * seen, args, false);
  follower->follow(*leader);
  EXPECT_TRUE(follower->learned().empty());
  {
    const at::NoGradGuard no_grad;
    leader->scale.mul_(1.5);
  }
  EXPECT_TRUE(at::equal(follower->forward(seen), leader->forward(seen)));
  EXPECT_TRUE(at::equal(follower->calculate_qparams().scale, leader->calculate_qparams().scale));
}

TEST(LearnedScales, StateAndCopiesKeepOnLearning) {
  const at::Tensor seen = at::randn({2, 3, 4});
  auto learned = learning_on(seen, int8_args(at::kPerChannelSymmetric, 1), true);
  {
    const at::NoGradGuard no_grad;
    learned->scale.mul_(1.25);
  }
  const at::Tensor wanted = learned->forward(seen).detach();
  const auto twin = std::dynamic_pointer_cast<LearnedFakeQuantize>(learned->copy());
  EXPECT_TRUE(at::equal(twin->forward(seen), wanted));
  const nlohmann::json config = callable_config(*learned);
  Budget budget("test", 1 << 20);
  const auto made =
      std::dynamic_pointer_cast<LearnedFakeQuantize>(callable_from_config(JsonCursor(config, "test"), budget));
  ASSERT_NE(made, nullptr);
  load_state(*made, named_state(*learned), "test");
  EXPECT_TRUE(made->is_learning());
  EXPECT_TRUE(at::equal(made->forward(seen), wanted));
}

TEST(LearnedScales, NeedDataAndARange) {
  LearnedFakeQuantize fresh(std::make_shared<MinMaxObserver>(int8_args(at::kPerTensorAffine)));
  EXPECT_TRUE(test::fails_with([&] { fresh.start_learning(false); }, "has seen no data to start from"));
  const auto fixed =
      learned_fake_quantize(
          {"Fixed", [](const ObserverArgs& args) { return std::make_shared<FixedQParamsFakeQuantize>(args, 0.5, 0); }})
          .make(int8_args(at::kPerTensorAffine));
  EXPECT_EQ(fixed->type_name(), "FixedQParamsFakeQuantize");
}

}  // namespace
}  // namespace octet
