#include "octet/kernels/round_weight.h"

#include <ATen/Parallel.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/where.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "octet/kernels/fake_quantize_kernel.h"
#include "octet/support/error.h"

namespace octet {
namespace {

double apart(const at::Tensor& got, const at::Tensor& wanted) {
  const at::Tensor exact = wanted.to(at::kDouble);
  return ((got.to(at::kDouble) - exact).abs().max() / (exact.abs().max() + 1e-12)).item<double>();
}

// The operators one by one.
at::Tensor by_operators(const at::Tensor& weight, const WeightScaling& scaling, const WeightGrid& grid) {
  at::Tensor gamma = scaling.gamma;
  if (gamma.defined() && scaling.least_gamma > 0) {
    const at::Tensor floor = at::where(gamma < 0, -scaling.least_gamma, scaling.least_gamma).to(at::kFloat);
    gamma = at::where(gamma.abs() < scaling.least_gamma, floor, gamma);
  }
  const at::Tensor deviation = (scaling.variance + scaling.eps).sqrt();
  std::vector<int64_t> shape(static_cast<size_t>(weight.dim()), 1);
  shape[0] = weight.size(0);
  const at::Tensor factor = (gamma.defined() ? gamma / deviation : deviation.reciprocal()).view(shape);
  const at::Tensor rounded = fake_quantize(weight * factor, grid.scale, grid.zero_point,
                                           grid.scale.numel() == 1 ? -1 : 0, grid.quant_min, grid.quant_max);
  return scaling.divides ? rounded * factor.reciprocal() : rounded;
}

struct WeightCase {
  at::Tensor weight;
  bool per_channel;
  bool has_gamma;
  bool divides;
};

std::vector<WeightCase> weight_cases() {
  std::vector<WeightCase> all;
  const auto last = at::MemoryFormat::ChannelsLast;
  for (const at::Tensor& weight :
       {at::randn({7, 5}), at::randn({33, 3, 3, 3}).contiguous(last), at::randn({8, 1, 3, 3}),
        at::randn({96, 40, 1, 1}).contiguous(last), at::randn({1, 3, 5}), at::randn({130, 700})}) {
    for (const bool per_channel : {false, true}) {
      for (const bool has_gamma : {false, true}) {
        for (const bool divides : {false, true}) all.push_back({weight, per_channel, has_gamma, divides});
      }
    }
  }
  return all;
}

WeightGrid some_grid(const WeightCase& of) {
  const int64_t count = of.per_channel ? of.weight.size(0) : 1;
  return {at::rand({count}) * 0.01 + 0.015, at::randint(-3, 4, {count}, at::kLong), -127, 127};  // some are cut off
}

TEST(RoundWeight, IsTheOperatorsOneByOne) {
  at::manual_seed(11);
  const int before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (const WeightCase& each : weight_cases()) {
      const int64_t channels = each.weight.size(0);
      const WeightGrid grid = some_grid(each);
      const at::Tensor noise = at::randn(each.weight.sizes());
      at::Tensor gamma_values = at::randn({channels});
      gamma_values[0] = 1e-5;  // below the least
      const auto run = [&](bool in_one_call) {
        const at::Tensor weight = each.weight.clone().set_requires_grad(true);
        const at::Tensor gamma = gamma_values.clone().set_requires_grad(true);
        const WeightScaling scaling{each.has_gamma ? gamma : at::Tensor(), at::full({channels}, 0.7), 1e-3,
                                    each.divides ? 1e-3 : 0.0, each.divides};
        const at::Tensor y = in_one_call ? round_weight(weight, scaling, [&](const ScaledWeight&) { return grid; })
                                         : by_operators(weight, scaling, grid);
        (y * noise).sum().backward();
        return std::vector<at::Tensor>{y.detach(), weight.grad(), gamma.grad()};
      };
      const auto got = run(true);
      const auto wanted = run(false);
      EXPECT_TRUE(got[0].equal(wanted[0]));
      EXPECT_EQ(got[0].strides(), each.weight.strides());
      EXPECT_TRUE(got[1].equal(wanted[1]));
      ASSERT_EQ(got[2].defined(), wanted[2].defined());
      if (!got[2].defined()) continue;
      EXPECT_LT(apart(got[2], wanted[2]), 1e-4);
    }
  }
  at::set_num_threads(before);
}

TEST(RoundWeight, TellsRangesOfChannels) {
  at::manual_seed(12);
  at::Tensor weight = at::randn({5, 3, 3, 3});
  weight[2][1][0][0] = std::numeric_limits<float>::infinity();
  weight[3][1][0][0] = std::nanf("");
  const WeightScaling scaling{at::randn({5}), at::rand({5}) + 0.1};
  round_weight(weight, scaling, [&](const ScaledWeight& scaled) {
    EXPECT_TRUE(scaled.values[0].equal(weight[0] * weight_factor(scaling)[0]));
    for (const int64_t c : {0, 1, 4}) {
      EXPECT_EQ(scaled.low[c].item<float>(), scaled.values[c].min().item<float>());
      EXPECT_EQ(scaled.high[c].item<float>(), scaled.values[c].max().item<float>());
    }
    for (const int64_t c : {2, 3}) EXPECT_TRUE(std::isnan(scaled.low[c].item<float>()));
    return WeightGrid{at::full({1}, 0.1), at::full({1}, 0, at::kLong)};
  });
}

TEST(RoundWeight, TellsMultiplesOfTheStep) {
  at::manual_seed(14);
  const at::Tensor weight = at::randn({5, 4, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast);
  const WeightScaling scaling{at::randn({5}), at::rand({5}) + 0.1, 1e-5, 1e-3, true};
  const auto multiples_on = [&](const WeightGrid& grid) {
    at::Tensor multiples;
    const at::Tensor y = round_weight(
        weight, scaling, [&](const ScaledWeight&) { return grid; }, &multiples);
    if (multiples.defined()) {
      const at::Tensor steps = (grid.scale / weight_factor(scaling)).view({5, 1, 1, 1});
      EXPECT_LT((y - multiples.to(at::kFloat) * steps).abs().max().item<float>(), 1e-6);
      EXPECT_EQ(multiples.strides(), weight.strides());
    }
    return multiples;
  };
  const at::Tensor scales = at::rand({5}) * 0.01 + 0.015;
  EXPECT_EQ(multiples_on({scales, at::zeros({5}, at::kLong), -127, 127}).abs().max().item<int64_t>(), 127);
  EXPECT_TRUE(multiples_on({scales, at::full({5}, 3, at::kLong), -120, 120}).defined());
  EXPECT_FALSE(multiples_on({scales, at::zeros({5}, at::kLong), -128, 127}).defined()) << "-128 is no multiple";
  EXPECT_FALSE(multiples_on({scales, at::full({5}, 3, at::kLong), -127, 127}).defined()) << "nor is -130";
  EXPECT_FALSE(multiples_on({scales, at::zeros({5}, at::kLong), -127, 127, true}).defined());
  weight[1][1][1][1] = std::nanf("");
  EXPECT_FALSE(multiples_on({scales, at::zeros({5}, at::kLong), -127, 127}).defined());
}

TEST(RoundWeight, HasASecondDerivative) {
  at::manual_seed(13);
  const at::Tensor weight_values = at::randn({4, 6});
  const WeightGrid grid{at::full({4}, 0.02), at::full({4}, 0, at::kLong), -127, 127};
  const auto second = [&](bool in_one_call) {
    const at::Tensor weight = weight_values.clone().set_requires_grad(true);
    const at::Tensor gamma = at::full({4}, 0.8).set_requires_grad(true);
    const WeightScaling scaling{gamma, at::full({4}, 0.5), 1e-5, 1e-3, true};
    const at::Tensor y = in_one_call ? round_weight(weight, scaling, [&](const ScaledWeight&) { return grid; })
                                     : by_operators(weight, scaling, grid);
    const auto first = torch::autograd::grad({(y * y * y).sum()}, {weight}, {}, true, true);
    return torch::autograd::grad({(first[0] * first[0]).sum()}, {weight, gamma});
  };
  const auto got = second(true);
  const auto wanted = second(false);
  for (const size_t i : {0, 1}) EXPECT_LT(apart(got[i], wanted[i]), 1e-4);
}

TEST(RoundWeight, TakesChannelsInOnePieceAlone) {
  const WeightScaling scaling{at::Tensor(), at::full({6}, 1.0)};
  EXPECT_TRUE(takes_round_weight(at::randn({6, 4}), scaling));
  EXPECT_FALSE(takes_round_weight(at::randn({4, 6}).t(), scaling));
  EXPECT_FALSE(takes_round_weight(at::randn({6, 4}, at::kDouble), scaling));
  EXPECT_FALSE(takes_round_weight(at::randn({5, 4}), scaling));
  EXPECT_THROW(round_weight(at::randn({5, 4}), scaling, [](const ScaledWeight&) { return WeightGrid{}; }), Error);
}

}  // namespace
}  // namespace octet
