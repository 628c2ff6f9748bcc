#include "octet/kernels/convolution.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "octet/kernels/reference_path.h"
#include "octet/support/error.h"

namespace octet {
namespace {

struct ConvCase {
  const char* name;
  int64_t images, in, out, height, width, filter_height, filter_width;
  ConvGeometry geometry;
};

ConvGeometry geometry(int64_t stride, int64_t padding, int64_t dilation, int64_t groups) {
  return {{stride, stride}, {padding, padding}, {dilation, dilation}, groups};
}

// Odd channel counts, images smaller than a filter's reach, strides, dilation, groups.
const ConvCase kConvCases[] = {
    {"depthwise", 2, 24, 24, 9, 11, 3, 3, geometry(1, 1, 1, 24)},
    {"depthwise, stride 2", 2, 40, 40, 9, 12, 3, 3, geometry(2, 1, 1, 40)},
    {"depthwise 5x5", 1, 17, 17, 8, 7, 5, 5, geometry(1, 2, 1, 17)},
    {"depthwise 5x5, stride 2", 3, 19, 19, 13, 10, 5, 5, geometry(2, 2, 1, 19)},
    {"depthwise, dilation", 1, 33, 33, 12, 9, 3, 3, geometry(1, 2, 2, 33)},
    {"depthwise, stride 3, dilation 2", 2, 8, 8, 14, 15, 3, 3, geometry(3, 2, 2, 8)},
    {"depthwise, no padding", 2, 3, 3, 6, 5, 3, 3, geometry(1, 0, 1, 3)},
    {"depthwise, image smaller than the filter", 2, 16, 16, 2, 1, 3, 3, geometry(1, 1, 1, 16)},
    {"depthwise, sides differ", 2, 20, 20, 10, 21, 2, 7, {{1, 2}, {0, 3}, {2, 1}, 20}},
    {"depthwise, wide", 1, 8, 8, 2, 150, 3, 3, geometry(1, 1, 1, 8)},
    {"depthwise, unread pixels", 1, 8, 8, 8, 8, 1, 1, geometry(3, 0, 1, 8)},
    {"1x1", 2, 16, 24, 7, 9, 1, 1, geometry(1, 0, 1, 1)},
    {"1x1, odd channels", 1, 13, 7, 5, 5, 1, 1, geometry(1, 0, 1, 1)},
    {"1x1, one channel", 3, 1, 5, 4, 6, 1, 1, geometry(1, 0, 1, 1)},
    {"1x1, to one", 2, 37, 1, 4, 6, 1, 1, geometry(1, 0, 1, 1)},
    {"1x1, deep", 1, 811, 45, 5, 4, 1, 1, geometry(1, 0, 1, 1)},
    {"1x1, to many", 1, 36, 491, 6, 6, 1, 1, geometry(1, 0, 1, 1)},
    {"1x1, many pixels", 2, 9, 20, 41, 37, 1, 1, geometry(1, 0, 1, 1)},
    {"1x1, stride 2", 2, 18, 33, 9, 8, 1, 1, geometry(2, 0, 1, 1)},
    {"1x1, padded", 1, 6, 9, 5, 5, 1, 1, geometry(1, 1, 1, 1)},
    {"few channels", 2, 3, 32, 15, 17, 3, 3, geometry(2, 1, 1, 1)},
    {"few channels, dilation", 1, 5, 11, 12, 14, 3, 2, geometry(1, 2, 2, 1)},
    {"few channels, 7x7", 1, 3, 40, 17, 16, 7, 7, geometry(2, 3, 1, 1)},
    {"few channels, dilation, many filters", 2, 5, 33, 15, 14, 3, 3, geometry(1, 2, 2, 1)},
    {"few channels, long lines", 2, 7, 32, 9, 21, 2, 11, {{1, 2}, {1, 3}, {1, 1}, 1}},
    {"few channels, far taps", 1, 2, 9, 15, 18, 5, 5, geometry(1, 4, 2, 1)},
    {"many channels", 2, 12, 40, 8, 8, 3, 3, geometry(1, 1, 1, 1)},
    {"many channels, dilation", 1, 13, 35, 9, 8, 3, 3, geometry(1, 2, 2, 1)},
    {"deep", 1, 70, 33, 4, 5, 3, 3, geometry(1, 1, 1, 1)},
    {"many channels, stride 2", 3, 16, 24, 11, 14, 3, 3, geometry(2, 1, 1, 1)},
    {"many channels, stride 3, dilation 2", 2, 17, 13, 15, 16, 3, 3, geometry(3, 2, 2, 1)},
    {"many channels, stride beyond the filter", 2, 9, 10, 13, 12, 2, 2, geometry(4, 0, 1, 1)},
    {"many channels, sides differ", 2, 33, 7, 9, 20, 2, 5, {{2, 1}, {1, 4}, {1, 2}, 1}},
    {"many channels, one pixel", 5, 20, 70, 1, 1, 3, 3, geometry(1, 1, 1, 1)},
    {"many channels, rows beyond a block", 1, 9, 8, 3, 600, 3, 3, geometry(1, 1, 1, 1)},
    {"many images, sums of each thread", 19, 16, 16, 12, 12, 3, 3, geometry(1, 1, 1, 1)},
    {"many filters, filters of each thread", 2, 40, 260, 8, 8, 3, 3, geometry(1, 1, 1, 1)},
    {"groups", 2, 12, 24, 8, 8, 3, 3, geometry(1, 1, 1, 4)},
    {"several filters each", 2, 6, 12, 8, 8, 3, 3, geometry(1, 1, 1, 6)},
};

void expect_near(const at::Tensor& got, const at::Tensor& wanted, const std::string& what) {
  ASSERT_EQ(got.sizes(), wanted.sizes()) << what;
  const double size = wanted.abs().max().item<double>() + 1e-3;
  EXPECT_LT((got.to(at::kDouble) - wanted).abs().max().item<double>(), 2e-5 * size) << what;
}

struct Reference {
  at::Tensor y, dx, dweight;
};

Reference in_double(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& dy,
                    const ConvGeometry& g) {
  const at::Tensor wide_x = x.to(at::kDouble);
  const at::Tensor wide_weight = weight.to(at::kDouble);
  const auto [dx, dweight, dbias] =
      at::convolution_backward(dy.to(at::kDouble), wide_x, wide_weight, at::IntArrayRef{weight.size(0)}, g.stride,
                               g.padding, g.dilation, false, {0, 0}, g.groups, {true, true, false});
  return {at::convolution(wide_x, wide_weight, bias.to(at::kDouble), g.stride, g.padding, g.dilation, false, {0, 0},
                          g.groups),
          dx, dweight};
}

class Convolution : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    at::set_num_threads(GetParam());
    at::manual_seed(1);
  }
  void TearDown() override { at::set_num_threads(before_); }
  const int before_ = at::get_num_threads();
};

TEST_P(Convolution, AgreesWithLibtorchInDouble) {
  for (const ConvCase& c : kConvCases) {
    const ConvGeometry& g = c.geometry;
    for (const at::MemoryFormat format : {at::MemoryFormat::ChannelsLast, at::MemoryFormat::Contiguous}) {
      const at::Tensor x = at::randn({c.images, c.in, c.height, c.width}).contiguous(format);
      const at::Tensor weight = at::randn({c.out, c.in / g.groups, c.filter_height, c.filter_width}).contiguous(format);
      const at::Tensor bias = at::randn({c.out});
      const at::Tensor y = conv_forward(x, weight, bias, g);
      const at::Tensor dy = at::randn(y.sizes()).contiguous(format);
      const Reference wanted = in_double(x, weight, bias, dy, g);
      expect_near(y, wanted.y, std::string(c.name) + ": result");
      if (x.suggest_memory_format() == format) {
        EXPECT_TRUE(y.is_contiguous(format)) << c.name;
      }
      expect_near(conv_forward(x, weight, {}, g), wanted.y - bias.view({1, -1, 1, 1}), c.name);
      expect_near(conv_backward_input(dy, x.sizes(), weight, g), wanted.dx, std::string(c.name) + ": input");
      expect_near(conv_backward_weight(dy, x, weight.sizes(), g), wanted.dweight, std::string(c.name) + ": weight");
      // A gradient that a mean spread lies in no order.
      const at::Tensor spread = at::randn({c.images, c.out, 1, 1}).expand(y.sizes());
      expect_near(conv_backward_input(spread, x.sizes(), weight, g), in_double(x, weight, bias, spread, g).dx, c.name);
    }
  }
}

TEST_P(Convolution, ReadsIntegersAsTheirValues) {
  for (const ConvCase& c : kConvCases) {
    const ConvGeometry& g = c.geometry;
    const at::Tensor q = at::randint(-128, 128, {c.images, c.in, c.height, c.width}, at::kChar)
                             .contiguous(at::MemoryFormat::ChannelsLast);
    const Int8Image image{q, 0.05F, -7};
    const at::Tensor x = (q.to(at::kFloat) - image.zero_point) * image.scale;
    const at::Tensor weight = at::randn({c.out, c.in / g.groups, c.filter_height, c.filter_width});
    const at::Tensor dy = at::randn_like(conv_forward(x, weight, {}, g));
    expect_near(conv_backward_weight(dy, image, weight.sizes(), g),
                in_double(x, weight, at::zeros({c.out}), dy, g).dweight, c.name);
  }
}

TEST_P(Convolution, HasTheGradientOfItsFormula) {
  for (const ConvCase& c : kConvCases) {
    const ConvGeometry& g = c.geometry;
    const auto leaf = [](const at::Tensor& value) { return value.detach().clone().requires_grad_(true); };
    const at::Tensor x =
        leaf(at::randn({c.images, c.in, c.height, c.width}).contiguous(at::MemoryFormat::ChannelsLast));
    const at::Tensor weight = leaf(at::randn({c.out, c.in / g.groups, c.filter_height, c.filter_width}));
    const at::Tensor bias = leaf(at::randn({c.out}));
    const at::Tensor y = conv2d(x, weight, bias, g);
    const at::Tensor dy = at::randn(y.sizes());
    y.backward(dy);
    const Reference wanted = in_double(x.detach(), weight.detach(), bias.detach(), dy, g);
    expect_near(x.grad(), wanted.dx, c.name);
    expect_near(weight.grad(), wanted.dweight, c.name);
    expect_near(bias.grad(), dy.to(at::kDouble).sum({0, 2, 3}), c.name);
  }
}

// Of none, one, every third, and all.
TEST_P(Convolution, GivesTheChosenFiltersTheirGradientAndTheOthersNone) {
  for (const ConvCase& c : kConvCases) {
    const ConvGeometry& g = c.geometry;
    const at::Tensor x = at::randn({c.images, c.in, c.height, c.width}).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor weight = at::randn({c.out, c.in / g.groups, c.filter_height, c.filter_width});
    const at::Tensor dy = at::randn_like(conv_forward(x, weight, {}, g));
    const Reference wanted = in_double(x, weight, at::zeros({c.out}), dy, g);
    for (const at::Tensor& chosen : {at::empty({0}, at::kLong), at::full({1}, c.out - 1, at::kLong),
                                     at::arange(0, c.out, 3, at::kLong), at::arange(c.out, at::kLong)}) {
      const at::Tensor of_chosen =
          at::zeros_like(wanted.dweight).index_copy(0, chosen, wanted.dweight.index_select(0, chosen));
      const std::string what = octet::str(c.name, ", ", chosen.numel(), " chosen");
      expect_near(conv_backward_chosen(dy, x, weight.sizes(), g, chosen), of_chosen, what);
      const at::Tensor in = x.detach().requires_grad_(true), trained = weight.detach().requires_grad_(true);
      conv2d(in, trained, {}, g, chosen).backward(dy);
      expect_near(trained.grad(), of_chosen, what);
      expect_near(in.grad(), wanted.dx, what);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, Convolution, testing::Values(1, 2));

TEST(ConvolutionCalls, GiveTheSameEveryTime) {
  const at::Tensor x = at::randn({2, 24, 30, 30}).contiguous(at::MemoryFormat::ChannelsLast);
  const ConvGeometry g = geometry(1, 1, 1, 24);
  const at::Tensor first = conv_backward_weight(x, x, {24, 1, 3, 3}, g);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(at::equal(first, conv_backward_weight(x, x, {24, 1, 3, 3}, g)));
}

TEST(ConvolutionCalls, GiveTheSameOnAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  const auto image = [](int64_t channels) {
    return at::randn({8, channels, 40, 40}).contiguous(at::MemoryFormat::ChannelsLast);
  };
  struct Sum {
    const char* name;
    at::Tensor x, dy;
    std::vector<int64_t> sizes;
    ConvGeometry geometry;
  };
  const Sum sums[] = {{"depthwise", image(48), image(48), {48, 1, 3, 3}, geometry(1, 1, 1, 48)},
                      {"1x1", image(40), image(56), {56, 40, 1, 1}, geometry(1, 0, 1, 1)},
                      {"3x3", image(16), image(16), {16, 16, 3, 3}, geometry(1, 1, 1, 1)}};
  for (const Sum& sum : sums) {
    at::set_num_threads(1);
    const at::Tensor alone = conv_backward_weight(sum.dy, sum.x, sum.sizes, sum.geometry);
    for (const int threads : {2, 3, 4}) {
      at::set_num_threads(threads);
      EXPECT_TRUE(at::equal(alone, conv_backward_weight(sum.dy, sum.x, sum.sizes, sum.geometry)))
          << sum.name << ", threads " << threads;
    }
  }
  at::set_num_threads(before);
}

TEST(ConvolutionCalls, CanBeDifferentiatedTwice) {
  const at::Tensor x = at::randn({1, 8, 5, 5}).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_(true);
  const at::Tensor weight = at::randn({8, 1, 3, 3}).requires_grad_(true);
  const at::Tensor y = conv2d(x, weight, {}, geometry(1, 1, 1, 8)).pow(2).sum();
  const at::Tensor dx = torch::autograd::grad({y}, {x}, {}, std::nullopt, /*create_graph=*/true)[0];
  dx.pow(2).sum().backward();
  EXPECT_TRUE(weight.grad().defined());
}

TEST(ConvolutionCalls, RefuseSizesThatDoNotFit) {
  const at::Tensor x = at::randn({1, 8, 5, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weight = at::randn({8, 1, 3, 3});
  EXPECT_THROW(conv_backward_weight(x, x, weight.sizes(), geometry(1, 0, 1, 8)), Error);
  EXPECT_THROW(conv_backward_input(x, {1, 8, 9, 9}, weight, geometry(1, 1, 1, 8)), Error);
  EXPECT_THROW(conv_forward(x, at::randn({4, 9, 1, 1}), {}, geometry(1, 0, 1, 1)), Error);
  EXPECT_THROW(conv_forward(x, weight, {}, geometry(0, 1, 1, 8)), Error);
  EXPECT_THROW(conv_forward(x, at::randn({8, 1, 9, 9}), {}, geometry(1, 0, 1, 8)), Error);
}

}  // namespace
}  // namespace octet
