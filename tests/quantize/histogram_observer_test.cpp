#include "octet/quantize/histogram_observer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "octet/quantize/range_meeting.h"
#include "octet/support/error.h"

namespace octet {
namespace {

// Numbers in [-1, 1] that Python computes to the bit as well.
at::Tensor noise(int64_t count, int64_t seed) {
  const auto mix = [](const at::Tensor& v) { return (v * 1103515245 + 12345).remainder(int64_t{1} << 31); };
  return mix(mix(at::arange(count, at::kLong) + seed)).to(at::kDouble) / 2147483648.0 * 2 - 1;
}

at::Tensor batch(int64_t count, int64_t seed, double scale, double shift, int64_t power) {
  const at::Tensor v = noise(count, seed);
  return (v.abs().pow(power) * v.sign() * scale + shift).to(at::kFloat);
}

struct Recorded {
  const char* name;
  std::vector<at::Tensor> batches;
  at::QScheme qscheme;
  int64_t quant_min;
  // What torch 2.13's HistogramObserver gives.
  float scale;
  int64_t zero_point;
  float min;
  float max;
  double mass;
  double moment;  // sum of bin index * count
};

std::vector<Recorded> runs() {
  const at::Tensor relu = batch(3000, 5, 6., 1., 3).clamp_min(0);
  constexpr auto kAffine = at::kPerTensorAffine;
  return {
      {"one batch",
       {batch(5000, 1, 2., 0., 3)},
       kAffine,
       -128,
       0x1.ffbd26p-7F,
       0,
       -0x1.ffb0b4p+0F,
       0x1.ff4938p+0F,
       0x1.388p+12,
       0x1.3874ep+22},
      {"growth",
       {batch(5000, 1, 2., 0., 3), batch(5000, 9, 5., 1., 3), batch(3000, 77, 4., -3., 3)},
       kAffine,
       -128,
       0x1.a12038p-5F,
       9,
       -0x1.bfd85ap+2F,
       0x1.7f8dc2p+2F,
       0x1.964p+13,
       0x1.a2382f3cp+23},
      {"symmetric",
       {batch(5000, 1, 2., 0., 3), batch(5000, 9, 1., 0., 1), batch(3000, 77, 9., 0.5, 3)},
       at::kPerTensorSymmetric,
       -127,
       0x1.2fb938p-4F,
       0,
       -0x1.0fd366p+3F,
       0x1.2f993p+3F,
       0x1.964p+13,
       0x1.84de23ap+23},
      {"constant first",
       {at::full({10}, 3.0F), batch(4000, 5, 6., 0., 3)},
       kAffine,
       -128,
       0x1.7ffep-5F,
       0,
       -0x1.7fc488p+2F,
       0x1.7f76eap+2F,
       0x1.f54p+11,
       0x1.f5e508p+21},
      {"relu",
       {relu, relu, batch(3000, 15, 8., 1., 3).clamp_min(0)},
       kAffine,
       -128,
       0x1.1fecccp-5F,
       -128,
       0.0F,
       0x1.1fa49cp+3F,
       0x1.194p+13,
       0x1.7f86dcp+21},
      {"constant", {at::full({10}, 3.0F)}, kAffine, -128, 0x1.818182p-7F, -128, 3.0F, 3.0F, 10, 10240},
      {"zeros", {at::zeros({10})}, kAffine, -128, 0x1p-23F, -128, 0.0F, 0.0F, 10, 10240},
  };
}

TEST(HistogramObserver, EqualsTheReference) {
  for (const Recorded& run : runs()) {
    ObserverArgs args;
    args.qscheme = run.qscheme;
    args.quant_min = run.quant_min;
    args.quant_max = 127;
    HistogramObserver observer(args);
    for (const at::Tensor& x : run.batches) observer.forward(x);
    const QParams grid = observer.calculate_qparams();
    EXPECT_EQ(observer.min_val.item<float>(), run.min) << run.name;
    EXPECT_EQ(observer.max_val.item<float>(), run.max) << run.name;
    EXPECT_DOUBLE_EQ(observer.histogram.sum().item<double>(), run.mass) << run.name;
    EXPECT_NEAR((observer.histogram.to(at::kDouble) * at::arange(2048)).sum().item<double>() / run.moment, 1.0, 1e-6)
        << run.name;
    // The search stops at the first growth of a float32 sum, whose order depends on the machine's vector width.
    EXPECT_NEAR(grid.scale.item<float>() / run.scale, 1.0F, 2e-3F) << run.name;
    EXPECT_NEAR(grid.zero_point.item<int64_t>(), run.zero_point, 1) << run.name;
  }
}

// The update of the fact sheet (2.4), element by element in double where float32 does not decide.
at::Tensor plain_rebin(const at::Tensor& histogram, float low, float high, float new_low, float new_high) {
  const int64_t bins = histogram.numel();
  at::Tensor moved = at::zeros_like(histogram);
  const at::Tensor starts = at::linspace(low, high, bins * 16 + 1);
  const at::Tensor edges = at::linspace(new_low, new_high, bins + 1);
  const float half_part = (at::full({}, high, at::kFloat) - low).div(bins * 16).mul(0.5).item<float>();
  for (int64_t part = 0; part < bins * 16; ++part) {
    const float middle = starts[part].item<float>() + half_part;
    int64_t bin = 0;
    while (bin + 1 < bins && edges[bin + 1].item<float>() <= middle) ++bin;
    moved[bin] += histogram[part / 16] / 16;
  }
  return moved;
}

TEST(HistogramObserver, RangeGrowthMovesEveryPartOfABin) {
  at::manual_seed(5);
  const at::Tensor first = at::randn({2000});
  const at::Tensor second = at::randn({1000}) * 2 + 1;
  HistogramObserver observer(ObserverArgs{}, kDefaultEps, 32);
  observer.forward(first);
  const at::Tensor before = observer.histogram.clone();
  const float low = observer.min_val.item<float>();
  const float high = observer.max_val.item<float>();
  observer.forward(second);
  const float new_low = observer.min_val.item<float>();
  const float new_high = observer.max_val.item<float>();
  ASSERT_LT(new_low, low);
  ASSERT_GT(new_high, high);
  const at::Tensor expected =
      at::histc(second, 32, new_low, new_high) + plain_rebin(before, low, high, new_low, new_high);
  EXPECT_TRUE(at::allclose(observer.histogram, expected, 1e-6, 1e-6));
}

TEST(HistogramObserver, InsideTheRangeCountsAddUp) {
  HistogramObserver observer(ObserverArgs{}, kDefaultEps, 16);
  observer.forward(at::linspace(-1, 1, 100));
  const at::Tensor before = observer.histogram.clone();
  const at::Tensor inner = at::linspace(-0.5, 0.7, 50);
  observer.forward(inner);
  EXPECT_TRUE(at::equal(observer.histogram, before + at::histc(inner, 16, -1, 1)));
}

TEST(HistogramObserver, LeavesInfinitiesOut) {
  HistogramObserver with(ObserverArgs{});
  HistogramObserver without(ObserverArgs{});
  const at::Tensor x = at::linspace(-1, 2, 500);
  with.forward(at::cat({x, at::tensor({INFINITY, -INFINITY, 3e38F, -3e38F})}));  // float32 has no such width
  without.forward(x);
  EXPECT_TRUE(at::equal(with.histogram, without.histogram));
  with.forward(at::full({4}, -INFINITY));
  EXPECT_TRUE(at::equal(with.histogram, without.histogram));
  EXPECT_THROW(with.forward(at::full({2}, std::numeric_limits<float>::quiet_NaN())), Error);
}

TEST(HistogramObserver, WithoutDataGivesOneAndZero) {
  HistogramObserver observer(ObserverArgs{});
  observer.forward(at::empty({0}));
  EXPECT_FALSE(observer.has_data());
  EXPECT_EQ(observer.calculate_qparams().scale.item<float>(), 1.0F);
  observer.forward(at::ones({5}));
  observer.reset();
  EXPECT_FALSE(observer.has_data());
  EXPECT_EQ(observer.histogram.sum().item<float>(), 0.0F);
}

// Processes wait for each other's ranges: each of them has to come, also where a batch lies within what was seen.
TEST(HistogramObserver, MeetsOnceABatch) {
  HistogramObserver observer(ObserverArgs{});
  int met = 0;
  const RangeMeeting meeting([&](const at::Tensor&) { ++met; }, [](const at::Tensor&) {});
  const at::Tensor x = batch(1000, 1, 2.0, 0.0, 1);
  for (const double part : {1.0, 0.5, 0.25}) observer.forward(x * part);
  EXPECT_EQ(met, 3);
}

}  // namespace
}  // namespace octet
