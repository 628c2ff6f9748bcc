#include "octet/kernels/fake_quantize_kernel.h"

#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "octet/support/error.h"

namespace octet {
namespace {

struct Layout {
  const char* name;
  at::Tensor (*make)();
};

at::Tensor random(at::IntArrayRef sizes) { return at::randn(sizes) * 2; }

const Layout kLayouts[] = {
    {"contiguous",
     [] {
       return random({3, 5, 7, 9});
     }},
    {"channels_last",
     [] {
       return random({3, 5, 7, 9}).contiguous(at::MemoryFormat::ChannelsLast);
     }},
    {"channels_last_3d",
     [] {
       return random({2, 5, 4, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast3d);
     }},
    {"transposed",
     [] {
       return random({5, 7, 9}).transpose(0, 2);
     }},
    {"sliced",
     [] {
       return random({6, 10, 8}).slice(1, 1, 9, 2);
     }},
    {"expanded",
     [] {
       return random({4, 1, 6}).expand({4, 3, 6});
     }},
    {"one_channel",
     [] {
       return random({4, 1, 6});
     }},
    {"scalar", [] { return random({}); }},
    {"empty",
     [] {
       return random({0, 3});
     }},
    {"large",
     [] {
       return random({4, 32, 40, 40}).contiguous(at::MemoryFormat::ChannelsLast);
     }},
};

class FakeQuantizeLayouts : public testing::TestWithParam<Layout> {};

struct Result {
  at::Tensor y;
  at::Tensor gradient;
};

template <typename Function>
Result run(Function function, const at::Tensor& x, const at::Tensor& upstream) {
  // Every second element of a wider leaf, where x itself has gaps or overlaps, so that odd strides reach the kernel.
  const bool dense = x.is_non_overlapping_and_dense();
  at::Tensor leaf = (dense ? x.clone(at::MemoryFormat::Preserve) : at::stack({x, x}, -1)).set_requires_grad(true);
  const at::Tensor input = dense ? leaf : leaf.select(-1, 0);
  at::Tensor y = function(input);
  y.backward(upstream);
  return {y.detach(), leaf.grad()};
}

void expect_same(const Result& fused, const Result& plain) {
  EXPECT_TRUE(at::equal(fused.y, plain.y)) << (fused.y - plain.y).abs().max();
  EXPECT_TRUE(at::equal(fused.gradient, plain.gradient));
}

TEST_P(FakeQuantizeLayouts, PerTensorEqualsThePlainFormulaToTheBit) {
  at::manual_seed(1);
  const at::Tensor x = GetParam().make();
  const at::Tensor upstream = at::randn(x.sizes());
  const at::Tensor scale = at::full({1}, 0.0173F);
  for (const int64_t zero : {0, -128, 37}) {
    const at::Tensor zero_point = at::full({1}, zero, at::kLong);
    expect_same(
        run([&](const at::Tensor& t) { return fake_quantize(t, scale, zero_point, -1, -128, 127); }, x, upstream),
        run([&](const at::Tensor& t) { return fake_quantize_reference(t, scale, zero_point, -1, -128, 127); }, x,
            upstream));
    EXPECT_TRUE(at::equal(fake_quantize(x, scale, zero_point, -1, -128, 127),
                          fake_quantize_reference(x, scale, zero_point, -1, -128, 127)));
  }
}

TEST_P(FakeQuantizeLayouts, PerChannelEqualsThePlainFormulaOnEveryAxis) {
  at::manual_seed(2);
  const at::Tensor x = GetParam().make();
  const at::Tensor upstream = at::randn(x.sizes());
  for (int64_t axis = 0; axis < x.dim(); ++axis) {
    const at::Tensor scale = at::rand({x.size(axis)}) * 0.03 + 0.005;
    const at::Tensor zero_point = at::randint(-20, 20, {x.size(axis)}, at::kLong);
    expect_same(
        run([&](const at::Tensor& t) { return fake_quantize(t, scale, zero_point, axis, -127, 127); }, x, upstream),
        run([&](const at::Tensor& t) { return fake_quantize_reference(t, scale, zero_point, axis, -127, 127); }, x,
            upstream));
    EXPECT_TRUE(at::equal(fake_quantize(x, scale, zero_point, axis, -127, 127),
                          fake_quantize_reference(x, scale, zero_point, axis, -127, 127)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, FakeQuantizeLayouts, testing::ValuesIn(kLayouts),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(FakeQuantize, RoundsHalfToEvenAndClips) {
  const at::Tensor x = at::tensor({-200.0F, -2.5F, -1.5F, -0.5F, 0.5F, 1.5F, 2.5F, 126.5F, 127.5F, 500.0F});
  const at::Tensor y = fake_quantize(x, at::ones({1}), at::zeros({1}, at::kLong), -1, -128, 127);
  EXPECT_TRUE(at::equal(y, at::tensor({-128.0F, -2.0F, -2.0F, 0.0F, 0.0F, 2.0F, 2.0F, 126.0F, 127.0F, 127.0F})));
}

TEST(FakeQuantize, GradientPassesOnTheBoundsAndStopsBeyond) {
  at::Tensor x = at::tensor({-129.0F, -128.4F, -128.0F, 0.0F, 127.0F, 127.4F, 128.0F}).set_requires_grad(true);
  fake_quantize(x, at::ones({1}), at::zeros({1}, at::kLong), -1, -128, 127).sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), at::tensor({0.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 0.0F})));
}

TEST(FakeQuantize, ABrokenGradientStopsAtTheClip) {
  for (const bool reference : {false, true}) {
    const bool before = reference_path();
    set_reference_path(reference);
    at::Tensor x = at::tensor({-500.0F, 1.0F}).set_requires_grad(true);
    fake_quantize(x, at::ones({1}), at::zeros({1}, at::kLong), -1, -128, 127)
        .backward(at::tensor({std::numeric_limits<float>::infinity(), 2.0F}));
    EXPECT_TRUE(at::equal(x.grad(), at::tensor({0.0F, 2.0F})));
    set_reference_path(before);
  }
}

TEST(FakeQuantize, AgreesWithLibtorchsOwnOperatorPerTensor) {
  at::manual_seed(3);
  at::Tensor ours = (at::randn({64, 33}) * 3).set_requires_grad(true);
  at::Tensor theirs = ours.detach().clone().set_requires_grad(true);
  const at::Tensor upstream = at::randn({64, 33});
  const double scale = static_cast<float>(0.021);
  const at::Tensor y =
      fake_quantize(ours, at::full({1}, scale, at::kFloat), at::full({1}, 11, at::kLong), -1, -128, 127);
  const at::Tensor expected = at::fake_quantize_per_tensor_affine(theirs, scale, 11, -128, 127);
  y.backward(upstream);
  expected.backward(upstream);
  EXPECT_TRUE(at::equal(y, expected));
  EXPECT_TRUE(at::equal(ours.grad(), theirs.grad()));
}

TEST(FakeQuantize, KeepsTheLayout) {
  const at::Tensor x = at::randn({2, 8, 5, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  EXPECT_TRUE(fake_quantize(x, at::ones({1}), at::zeros({1}, at::kLong), -1, -8, 7)
                  .is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(FakeQuantize, WritingItsInputLaterDoesNotSpoilTheGradient) {
  at::Tensor x = at::tensor({1.0F, 300.0F}).set_requires_grad(true);
  const at::Tensor inner = x * 1;
  const at::Tensor y = fake_quantize(inner, at::ones({1}), at::zeros({1}, at::kLong), -1, -128, 127);
  {
    at::NoGradGuard no_grad;
    inner.mul_(100);
  }
  y.sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), at::tensor({1.0F, 0.0F})));
}

TEST(FakeQuantize, LetsNaNThrough) {
  const at::Tensor x = at::full({70}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(at::isnan(fake_quantize(x, at::ones({1}), at::zeros({1}, at::kLong), -1, -128, 127)).all().item<bool>());
}

TEST(FakeQuantize, HalfTypesAreComputedInFloat) {
  const at::Tensor x = at::randn({4, 16}).to(at::kBFloat16);
  const at::Tensor scale = at::full({1}, 0.01F);
  const at::Tensor zero = at::zeros({1}, at::kLong);
  const at::Tensor y = fake_quantize(x, scale, zero, -1, -128, 127);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(y, fake_quantize(x.to(at::kFloat), scale, zero, -1, -128, 127).to(at::kBFloat16)));
}

TEST(FakeQuantize, Int32RangeStaysInsideTheType) {
  EXPECT_EQ(float_bound(std::numeric_limits<int32_t>::max()), 2147483520.0F);
  EXPECT_EQ(float_bound(std::numeric_limits<int32_t>::min()), -2147483648.0F);
  EXPECT_EQ(float_bound(127), 127.0F);
}

TEST(FakeQuantize, ReferencePathIsSwitchable) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({100});
  const at::Tensor scale = at::full({1}, 0.02F);
  const at::Tensor zero = at::zeros({1}, at::kLong);
  const at::Tensor fused = fake_quantize(x, scale, zero, -1, -128, 127);
  const bool before = reference_path();
  set_reference_path(true);
  EXPECT_TRUE(reference_path());
  EXPECT_TRUE(at::equal(fake_quantize(x, scale, zero, -1, -128, 127), fused));
  set_reference_path(before);
}

TEST(FakeQuantize, IsADispatcherOperator) {
  const auto op = c10::Dispatcher::singleton().findSchema({"octet::fake_quantize", ""});
  ASSERT_TRUE(op.has_value());
  EXPECT_EQ(op->schema().arguments().size(), 6U);
}

TEST(FakeQuantize, NamesWhatDoesNotFit) {
  const at::Tensor x = at::zeros({2, 3});
  const at::Tensor zero = at::zeros({1}, at::kLong);
  EXPECT_THROW(fake_quantize(x, at::ones({2}), zero, -1, -128, 127), Error);
  EXPECT_THROW(fake_quantize(x, at::ones({2}), at::zeros({2}, at::kLong), 1, -128, 127), Error);
  EXPECT_THROW(fake_quantize(x, at::ones({1}), zero, 2, -128, 127), Error);
  EXPECT_THROW(fake_quantize(x, at::ones({1}), zero, -1, 5, 4), Error);
}

TEST(FlatMemory, CoversEveryElementOfAnyLayout) {
  for (const Layout& layout : kLayouts) {
    const at::Tensor x = layout.make();
    const at::Tensor flat = flat_memory(x);
    EXPECT_EQ(flat.numel(), x.numel()) << layout.name;
    EXPECT_TRUE(at::equal(std::get<0>(flat.sort()), std::get<0>(x.reshape({-1}).sort()))) << layout.name;
  }
}

TEST(MinMax, EqualsTheTensorsOwn) {
  for (const Layout& layout : kLayouts) {
    const at::Tensor x = layout.make();
    if (x.numel() == 0) continue;
    const auto [low, high] = min_max(x);
    EXPECT_TRUE(at::equal(low, x.min())) << layout.name;
    EXPECT_TRUE(at::equal(high, x.max())) << layout.name;
  }
}

}  // namespace
}  // namespace octet
