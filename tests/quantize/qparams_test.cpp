#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "octet/quantize/observer.h"
#include "octet/support/error.h"

namespace octet {
namespace {

at::Tensor scalar(float value) { return at::full({}, value, at::kFloat); }

// What torch 2.13's MinMaxObserver gives for these ranges, eps 2^-12.
struct Known {
  float min;
  float max;
  at::QScheme qscheme;
  int64_t quant_min;
  int64_t quant_max;
  float scale;
  int64_t zero_point;
};
constexpr auto kAffine = at::kPerTensorAffine;
constexpr auto kSymmetric = at::kPerTensorSymmetric;
const Known kKnown[] = {
    {-1.3F, 2.7F, kAffine, -128, 127, 0x1.010102p-6F, -45},
    {-1.3F, 2.7F, kSymmetric, -127, 127, 0x1.5c523ep-6F, 0},
    {-1.3F, 2.7F, kSymmetric, -128, 127, 0x1.5af48ep-6F, 0},
    {-1.3F, 2.7F, kAffine, 0, 255, 0x1.010102p-6F, 83},
    {0.4F, 3.0F, kAffine, -128, 127, 0x1.818182p-7F, -128},
    {0.4F, 3.0F, kSymmetric, -127, 127, 0x1.83060cp-6F, 0},
    {-3.0F, -0.2F, kAffine, -128, 127, 0x1.818182p-7F, 127},
    {-3.0F, -0.2F, kSymmetric, -128, 127, 0x1.818182p-6F, 0},
    {-3.0F, -0.2F, kAffine, 0, 255, 0x1.818182p-7F, 255},
    {0.0F, 0.0F, kAffine, -128, 127, 0x1p-12F, -128},
    {0.0F, 0.0F, kSymmetric, -127, 127, 0x1p-12F, 0},
    {-1e-09F, 1e-09F, kAffine, 0, 255, 0x1p-12F, 0},
    {-5.1F, 0.3F, kAffine, -128, 127, 0x1.5af48ep-6F, 113},
    {-5.1F, 0.3F, kSymmetric, -127, 127, 0x1.48f856p-5F, 0},
    {-0.00731F, 0.01919F, kAffine, -128, 127, 0x1p-12F, -98},
    {-123.456F, 987.654F, kAffine, -128, 127, 0x1.16dde8p+2F, -100},
    {-123.456F, 987.654F, kSymmetric, -127, 127, 0x1.f1b724p+2F, 0},
    {-123.456F, 987.654F, kAffine, 0, 255, 0x1.16dde8p+2F, 28},
};

TEST(ChooseQParams, EqualsTheReferenceToTheBit) {
  for (const Known& known : kKnown) {
    const QParams grid = choose_qparams(scalar(known.min), scalar(known.max), known.quant_min, known.quant_max,
                                        known.qscheme, 1.0 / 4096);
    EXPECT_EQ(grid.scale.item<float>(), known.scale) << known.min << " " << known.max;
    EXPECT_EQ(grid.zero_point.item<int64_t>(), known.zero_point) << known.min << " " << known.max;
    EXPECT_EQ(grid.scale.sizes(), at::IntArrayRef({1}));
    EXPECT_EQ(grid.scale.scalar_type(), at::kFloat);
    EXPECT_EQ(grid.zero_point.scalar_type(), at::kLong);
  }
}

TEST(ChooseQParams, ChannelsAreIndependent) {
  const at::Tensor low = at::tensor({-1.3F, 0.4F, -3.0F});
  const at::Tensor high = at::tensor({2.7F, 3.0F, -0.2F});
  const QParams all = choose_qparams(low, high, -128, 127, at::kPerChannelAffine, 1e-7);
  for (int64_t c = 0; c < 3; ++c) {
    const QParams one = choose_qparams(low[c], high[c], -128, 127, at::kPerTensorAffine, 1e-7);
    EXPECT_EQ(all.scale[c].item<float>(), one.scale.item<float>());
    EXPECT_EQ(all.zero_point[c].item<int64_t>(), one.zero_point.item<int64_t>());
  }
}

TEST(ChooseQParams, AnUnseenRangeGivesOneAndZero) {
  for (const auto& [low, high] : {std::pair{scalar(INFINITY), scalar(-INFINITY)}, {at::empty({0}), at::empty({0})}}) {
    const QParams grid = choose_qparams(low, high, -128, 127, at::kPerTensorAffine, 1e-7);
    EXPECT_TRUE(at::equal(grid.scale, at::ones({1})));
    EXPECT_TRUE(at::equal(grid.zero_point, at::zeros({1}, at::kLong)));
  }
}

TEST(ChooseQParams, RejectsWhatIsNoRange) {
  const auto choose = [](float low, float high) {
    return choose_qparams(scalar(low), scalar(high), -128, 127, at::kPerTensorAffine, 1e-7);
  };
  EXPECT_THROW(choose(std::numeric_limits<float>::quiet_NaN(), 1), Error);
  EXPECT_THROW(choose(0, INFINITY), Error);
  EXPECT_THROW(choose(-3e38F, 3e38F), Error);  // the span itself is infinite
  EXPECT_THROW(choose(2, 1), Error);
  EXPECT_THROW(choose_qparams(scalar(0), scalar(1), 3, 3, at::kPerTensorAffine, 1e-7), Error);
  EXPECT_THROW(choose_qparams(scalar(0), at::ones({2}), -128, 127, at::kPerTensorAffine, 1e-7), Error);
}

TEST(ChooseQParams, EmbeddingsHaveAFloatZeroPoint) {
  const QParams grid = choose_qparams(at::tensor({1.0F, 2.0F}), at::tensor({3.0F, 2.0F}), 0, 255,
                                      at::kPerChannelAffineFloatQParams, 1.0 / 4096);
  EXPECT_EQ(grid.zero_point.scalar_type(), at::kFloat);
  EXPECT_FLOAT_EQ(grid.scale[0].item<float>(), 2.0F / 255);
  EXPECT_FLOAT_EQ(grid.zero_point[0].item<float>(), -127.5F);
  EXPECT_EQ(grid.scale[1].item<float>(), 1.0F);
  EXPECT_EQ(grid.zero_point[1].item<float>(), -2.0F);
}

TEST(ChooseQParams, TheWholeInt32RangeDoesNotOverflow) {
  const QParams grid = choose_qparams(scalar(-4), scalar(0), std::numeric_limits<int32_t>::min(),
                                      std::numeric_limits<int32_t>::max(), at::kPerTensorAffine, 1e-30);
  EXPECT_EQ(grid.zero_point.item<int64_t>(), std::numeric_limits<int32_t>::max());
}

TEST(SymmetricZeroPoint, FollowsTheType) {
  EXPECT_EQ(symmetric_zero_point(at::kChar, -128, 127, false), 0);
  EXPECT_EQ(symmetric_zero_point(at::kByte, 0, 255, false), 128);
  EXPECT_EQ(symmetric_zero_point(at::kByte, 0, 127, true), 63);
  EXPECT_EQ(symmetric_zero_point(at::kUInt16, 0, 65535, false), 32768);
}

TEST(ResolveQuantRange, TakesTheOwnRangeOrTheTypes) {
  ObserverArgs args;
  EXPECT_EQ(resolve_quant_range(args, "x"), (std::pair<int64_t, int64_t>(-128, 127)));
  args.quant_min = -8;
  EXPECT_EQ(resolve_quant_range(args, "x"),
            (std::pair<int64_t, int64_t>(-128, 127)));  // one bound alone does not count
  args.quant_max = 7;
  EXPECT_EQ(resolve_quant_range(args, "x"), (std::pair<int64_t, int64_t>(-8, 7)));
  args.quant_min = 1;
  EXPECT_THROW(resolve_quant_range(args, "x"), Error);  // does not hold 0
  args.quant_min = -129;
  EXPECT_THROW(resolve_quant_range(args, "x"), Error);
  args = {};
  args.dtype = at::kFloat;
  EXPECT_THROW(resolve_quant_range(args, "x"), Error);
}

}  // namespace
}  // namespace octet
