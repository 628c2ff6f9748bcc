#include "octet/kernels/normalize_round.h"

#include <ATen/Parallel.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/full.h>
#include <ATen/ops/hardtanh.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/where.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>

#include "octet/kernels/channel_rows.h"
#include "octet/kernels/recycled_memory.h"

namespace octet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Threads {
  explicit Threads(int count) : before(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before); }
  int before;
};

// Relative to the largest.
double difference(const at::Tensor& got, const at::Tensor& wanted) {
  const at::Tensor exact = wanted.to(at::kDouble);
  return ((got.to(at::kDouble) - exact).abs().max() / (exact.abs().max() + 1e-12)).item<double>();
}

// The formula by plain operators in double.
at::Tensor rounded(const at::Tensor& z, const RoundingGrid& grid) {
  const at::Tensor levels = at::round(z.detach() / grid.scale) + grid.zero_point;
  const at::Tensor passes = at::logical_and(levels >= grid.quant_min, levels <= grid.quant_max);
  const at::Tensor value =
      (at::clamp(levels, grid.quant_min, grid.quant_max) - static_cast<double>(grid.zero_point)) * grid.scale;
  const at::Tensor passing = at::where(passes, z, at::zeros_like(z));
  return value + (passing - passing.detach());
}

at::Tensor clipped(const at::Tensor& z, const ClippingActivation& activation) {
  if (activation.ends_pass) return at::clamp(z, activation.low, activation.high);
  if (std::isinf(activation.low) && std::isinf(activation.high)) return z;
  return at::hardtanh(z, activation.low, activation.high);
}

std::vector<at::Tensor> inputs() {
  const auto make = [](at::IntArrayRef sizes, at::MemoryFormat format = at::MemoryFormat::Contiguous) {
    return (at::randn(sizes) * 1.7 + 0.4).contiguous(format);
  };
  constexpr auto kLast = at::MemoryFormat::ChannelsLast;
  return {make({1, 3, 5, 7}),
          make({1, 3, 5, 7}, kLast),
          make({4, 17, 9, 9}),
          make({4, 17, 9, 9}, kLast),
          make({8, 96, 21, 21}, kLast),
          make({2, 130, 40, 40}, kLast),
          make({3, 1, 6, 6}),
          make({16, 7}),
          make({3, 5, 201}),
          make({2, 6, 3, 4, 5}, at::MemoryFormat::ChannelsLast3d),
          make({7, 4, 6, 5}).transpose(0, 2)};
}

const ClippingActivation kActivations[] = {
    {}, {0, kInfinity, false}, {0, 6, false}, {-0.5, 1.25, true}, {-1, kInfinity, true}};

TEST(NormalizeRound, AgreesWithTheFormulaInDouble) {
  at::manual_seed(3);
  for (const int threads : {1, 2}) {
    const Threads on(threads);
    for (const at::Tensor& values : inputs()) {
      for (const ClippingActivation& activation : kActivations) {
        const int64_t channels = values.size(1);
        const at::Tensor x = values.clone().set_requires_grad(true);
        const at::Tensor gamma = at::randn({channels}).set_requires_grad(true);  // of both signs
        const at::Tensor beta = at::randn({channels}).set_requires_grad(true);
        const at::Tensor mean = at::randn({channels});
        const at::Tensor var = at::rand({channels}) + 0.5;
        const at::Tensor weights = at::randn(values.sizes());
        const RoundingGrid grid{0.0213F, -7, -128, 127};
        float low = 0;
        float high = 0;
        at::Tensor seen;
        const at::Tensor mean_of_ours = mean.clone();
        const at::Tensor var_of_ours = var.clone();
        const at::Tensor y = normalize_round(x, {gamma, beta, mean_of_ours, var_of_ours, 0.3, 1e-3}, activation,
                                             {[&](float least, float most, const auto& all) {
                                               low = least;
                                               high = most;
                                               seen = all();
                                               return grid;
                                             }});
        (y * weights).sum().backward();

        const auto wide = [](const at::Tensor& t) { return t.detach().to(at::kDouble); };
        const at::Tensor x2 = wide(x).set_requires_grad(true);
        const at::Tensor gamma2 = wide(gamma).set_requires_grad(true);
        const at::Tensor beta2 = wide(beta).set_requires_grad(true);
        const at::Tensor mean2 = wide(mean);
        const at::Tensor var2 = wide(var);
        const at::Tensor z =
            clipped(at::batch_norm(x2, gamma2, beta2, mean2, var2, true, 0.3, 1e-3, false), activation);
        const at::Tensor wanted = rounded(z, grid);
        (wanted * wide(weights)).sum().backward();

        const auto where = testing::Message() << values.sizes() << " " << activation.low << " " << activation.high;
        // A value in the middle of two levels may go either way.
        const at::Tensor off = (wide(y) - wanted).abs();
        EXPECT_LT(off.max().item<double>(), grid.scale * 1.001) << where;
        EXPECT_LT((off > 1e-5).to(at::kDouble).mean().item<double>(), 1e-3) << where;
        EXPECT_EQ(y.strides(),
                  (values.is_non_overlapping_and_dense() && values.is_contiguous()) || values.stride(1) == 1
                      ? values.strides()
                      : y.strides());
        EXPECT_NEAR(low, z.min().item<double>(), 1e-4) << where;
        EXPECT_NEAR(high, z.max().item<double>(), 1e-4) << where;
        EXPECT_LT(difference(seen, z.detach()), 1e-5) << where;
        EXPECT_LT(difference(mean_of_ours, mean2), 1e-4) << where;
        EXPECT_LT(difference(var_of_ours, var2), 1e-5) << where;
        EXPECT_LT(difference(x.grad(), x2.grad()), 1e-4) << where;
        EXPECT_LT(difference(gamma.grad(), gamma2.grad()), 1e-4) << where;
        EXPECT_LT(difference(beta.grad(), beta2.grad()), 1e-4) << where;
      }
    }
  }
}

TEST(NormalizeRound, GivesTheSameBitsOnAnyNumberOfThreads) {
  const at::Tensor x = at::randn({4, 96, 40, 40}).contiguous(at::MemoryFormat::ChannelsLast);
  const auto run = [&](int threads) {
    const Threads on(threads);
    const at::Tensor leaf = x.clone().set_requires_grad(true);
    const at::Tensor y =
        normalize_round(leaf, {}, {0, 6}, {[](float, float, const auto&) { return RoundingGrid{0.02F}; }});
    y.square().sum().backward();
    return std::pair(y.detach(), leaf.grad());
  };
  const auto one = run(1);
  const auto two = run(2);
  EXPECT_TRUE(one.first.equal(two.first));
  EXPECT_TRUE(one.second.equal(two.second));
}

TEST(NormalizeRound, MomentsSurviveAMeanFarFromZero) {
  const at::Tensor x = (at::randn({20000, 5}) * 0.01 + 1000.0).to(at::kFloat);
  const ChannelMoments moments = channel_moments(x.const_data_ptr<float>(), {20000, 5, 1});
  const at::Tensor exact = x.to(at::kDouble);
  for (int64_t c = 0; c < 5; ++c) {
    const at::Tensor channel = exact.select(1, c);
    EXPECT_NEAR(moments.mean[static_cast<size_t>(c)], channel.mean().item<double>(), 1e-7);
    const double wanted = (channel - channel.mean()).square().sum().item<double>();
    EXPECT_NEAR(moments.squares[static_cast<size_t>(c)], wanted, 1e-4 * wanted);
  }
}

TEST(NormalizeRound, KeepsTheGraphWhereAskedTo) {
  const at::Tensor x = at::randn({4, 6, 5, 5}).set_requires_grad(true);
  const at::Tensor y =
      normalize_round(x * 1.0, {}, {0, 6}, {[](float, float, const auto&) { return RoundingGrid{0.02F}; }}, true);
  const at::Tensor loss = y.square().sum();
  const auto grads = [&](bool keep) { return torch::autograd::grad({loss}, {x}, {}, keep)[0].clone(); };
  const at::Tensor first = grads(true);
  EXPECT_TRUE(first.equal(grads(false)));
}

TEST(NormalizeRound, DerivesTwice) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({3, 4, 5, 5}).set_requires_grad(true);
  const at::Tensor gamma = at::ones({4}).set_requires_grad(true);
  const at::Tensor y = normalize_round(x, {gamma, {}, {}, {}, 0.1, 1e-5}, {-1, 1},
                                       {[](float, float, const auto&) { return RoundingGrid{0.02F}; }});
  const at::Tensor first = torch::autograd::grad({(y * y).sum()}, {x}, {}, true, true)[0];
  const at::Tensor second = torch::autograd::grad({first.square().sum()}, {gamma})[0];
  EXPECT_TRUE(at::isfinite(second).all().item<bool>());
  EXPECT_GT(second.abs().max().item<double>(), 0);
}

TEST(SumRound, AgreesWithTheFormulaInDouble) {
  at::manual_seed(4);
  for (const at::Tensor& values : inputs()) {
    for (const bool two : {false, true}) {
      for (const ClippingActivation& activation : kActivations) {
        const at::Tensor a = values.clone().set_requires_grad(true);
        const at::Tensor b = two ? at::randn(values.sizes()).set_requires_grad(true) : at::Tensor();
        const RoundingGrid grid{0.03F, 5, -128, 127};
        float low = 0;
        float high = 0;
        const at::Tensor y = sum_round(a, b, activation, {[&](float least, float most, const auto&) {
                                         low = least;
                                         high = most;
                                         return grid;
                                       }});
        const at::Tensor weights = at::randn(values.sizes());
        (y * weights).sum().backward();
        const at::Tensor a2 = a.detach().clone().set_requires_grad(true);
        const at::Tensor z = clipped(two ? a2 + b.detach() : a2 * 1.0, activation);
        const at::Tensor wanted = rounded(z, grid);
        (wanted * weights).sum().backward();
        EXPECT_TRUE(at::allclose(y, wanted, 0, grid.scale * 1.001));
        EXPECT_EQ(low, z.min().item<float>());
        EXPECT_EQ(high, z.max().item<float>());
        EXPECT_TRUE(at::allclose(a.grad(), a2.grad()));
        EXPECT_TRUE(!two || at::allclose(b.grad(), a2.grad()));
      }
    }
  }
}

TEST(SumRound, TellsNaNFromARange) {
  at::Tensor x = at::randn({2, 3, 50});
  x[1][2][17] = std::nanf("");
  float low = 0;
  sum_round(x, {}, {0, 6}, {[&](float least, float, const auto&) {
              low = least;
              return RoundingGrid{0.02F};
            }});
  EXPECT_TRUE(std::isnan(low));
}

TEST(PassInterval, HoldsTheVeryFloatsThatPass) {
  const ClipAndRound rounding{0, 6, 1.0F / 0.0235F, 0.0235F, -128, -128, 127};
  const PassInterval inside = pass_interval(rounding, true);
  EXPECT_GT(inside.low, 0);
  EXPECT_EQ(std::nextafter(inside.low, -1.0F), 0);
  EXPECT_LT(std::rint(inside.high * rounding.inverse) - 128, 128);
  EXPECT_EQ(pass_interval(rounding, false).low, 0);
  const PassInterval none = pass_interval({1, 1, 1, 1, 0, -128, 127}, true);
  EXPECT_GT(none.low, none.high);
}

TEST(RecycledMemory, MakesTheNextTensorInTheMemoryOfTheLast) {
  const void* first = nullptr;
  {
    const RecycledMemory recycled;
    const at::Tensor once = at::empty({1 << 20});
    first = once.const_data_ptr();
  }
  const at::Tensor outside = at::empty({1 << 20});
  EXPECT_NE(outside.const_data_ptr(), first);
  const RecycledMemory recycled;
  const at::Tensor again = at::empty({1 << 20});
  EXPECT_EQ(again.const_data_ptr(), first);
  at::Tensor grown = again;
  grown.resize_({3 << 20});
  EXPECT_EQ(grown.numel(), 3 << 20);
}

// What a step frees side by side serves the next step in other sizes.
TEST(RecycledMemory, JoinsNeighboursAndCutsThem) {
  const RecycledMemory recycled;
  const auto* const place = static_cast<const float*>(at::empty({8 << 20}).const_data_ptr());
  for (const int64_t parts : {4, 3, 5}) {
    std::vector<at::Tensor> all;
    for (int64_t i = 0; i < parts; ++i) all.push_back(at::empty({(8 << 20) / parts}));
    for (const at::Tensor& each : all) {
      EXPECT_GE(each.const_data_ptr<float>(), place);
      EXPECT_LT(each.const_data_ptr<float>(), place + (8 << 20));
    }
  }
  EXPECT_EQ(at::empty({8 << 20}).const_data_ptr(), place);
}

// Addresses that nobody writes to count where a process is limited.
TEST(RecycledMemory, LeavesMostOfALimitToTheRest) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto in_six_gigabytes = [] {
    struct rlimit limit {};
    limit.rlim_cur = limit.rlim_max = rlim_t{6} << 30;
    setrlimit(RLIMIT_DATA, &limit);
    const RecycledMemory recycled;
    const at::Tensor one = at::empty({1 << 20});
    const void* const rest = std::malloc(size_t{3} << 30);
    _exit(one.defined() && rest != nullptr ? 0 : 1);
  };
  EXPECT_EXIT(in_six_gigabytes(), testing::ExitedWithCode(0), "");
}

TEST(RecycledMemory, GivesBackWhatIsFreeAndKeepsTheRest) {
  const RecycledMemory recycled;
  const at::Tensor kept = at::full({1 << 20}, 3.0F);
  at::full({1 << 20}, 4.0F);
  release_recycled_memory();
  EXPECT_EQ(kept.min().item<float>(), 3.0F);
  EXPECT_EQ(at::full({2 << 20}, 5.0F).max().item<float>(), 5.0F);
}

}  // namespace
}  // namespace octet
