// Floats on a grid, convolved in integers: against at::convolution of the integers in double, which is exact.
#include "octet/integer/grid_convolution.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

#include "octet/support/error.h"

namespace octet {
namespace {

using integer::GridConvolution;
using integer::ValueGrid;

struct Case {
  GridConvolution convolution;
  ValueGrid grid;
};

GridConvolution convolution(int64_t samples, int64_t channels, int64_t out_channels, std::array<int64_t, 2> in,
                            std::array<int64_t, 2> filter, std::array<int64_t, 2> stride = {1, 1},
                            std::array<int64_t, 2> padding = {0, 0}, std::array<int64_t, 2> dilation = {1, 1}) {
  GridConvolution made{samples, channels, out_channels, in, {}, filter, stride, padding, dilation};
  for (size_t d = 0; d < 2; ++d) {
    made.out[d] = (in[d] + 2 * padding[d] - dilation[d] * (filter[d] - 1) - 1) / stride[d] + 1;
  }
  return made;
}

std::vector<Case> cases() {
  const ValueGrid signed_grid{0.037F, -5, -128}, narrow{0.11F, 0, -127}, unsigned_grid{0.003F, 17, 0};
  return {
      {convolution(2, 64, 24, {9, 7}, {1, 1}), signed_grid},
      {convolution(3, 33, 70, {5, 4}, {1, 1}), unsigned_grid},
      {convolution(2, 16, 16, {32, 32}, {3, 3}, {1, 1}, {1, 1}), signed_grid},
      {convolution(1, 20, 65, {14, 14}, {3, 3}, {1, 1}, {1, 1}), narrow},
      {convolution(2, 24, 8, {7, 7}, {3, 3}, {1, 1}, {1, 1}), signed_grid},
      {convolution(2, 16, 40, {15, 18}, {3, 3}, {2, 2}, {1, 1}), signed_grid},
      {convolution(2, 48, 20, {9, 9}, {1, 1}, {2, 2}), unsigned_grid},
      {convolution(1, 3, 64, {23, 21}, {7, 7}, {2, 2}, {3, 3}), signed_grid},
      {convolution(1, 12, 17, {11, 13}, {3, 5}, {1, 2}, {2, 1}, {2, 1}), signed_grid},
      {convolution(1, 8, 9, {40, 1}, {9, 1}, {1, 1}, {4, 0}), signed_grid},
      {convolution(1, 256, 130, {2, 2}, {3, 3}, {1, 1}, {1, 1}), signed_grid},
  };
}

// NHWC and OHWI.
struct Tensors {
  at::Tensor levels, x, weights, factors, bias;
};

Tensors tensors(const Case& each) {
  const GridConvolution& c = each.convolution;
  Tensors made;
  made.levels =
      at::randint(each.grid.least, each.grid.least + 256, {c.samples, c.in[0], c.in[1], c.channels}, at::kLong);
  made.x = (made.levels - each.grid.zero_point).to(at::kFloat) * each.grid.scale;
  made.weights = at::randint(-127, 128, {c.out_channels, c.filter[0], c.filter[1], c.channels}, at::kChar);
  made.factors = at::rand({c.out_channels}) - 0.5;
  made.bias = at::randn({c.out_channels});
  return made;
}

bool convolve(const Case& each, const Tensors& from, at::Tensor& y, integer::Path path, bool with_bias = true) {
  const GridConvolution& c = each.convolution;
  y = at::full({c.samples, c.out[0], c.out[1], c.out_channels}, std::numeric_limits<float>::quiet_NaN());
  return integer::convolve_on_grid(c, from.x.const_data_ptr<float>(), each.grid, from.weights.const_data_ptr<int8_t>(),
                                   from.factors.const_data_ptr<float>(),
                                   with_bias ? from.bias.const_data_ptr<float>() : nullptr, y.mutable_data_ptr<float>(),
                                   path);
}

TEST(GridConvolution, SumsExactlyOnEveryPath) {
  at::manual_seed(3);
  const int before = at::get_num_threads();
  for (const Case& each : cases()) {
    const GridConvolution& c = each.convolution;
    const Tensors from = tensors(each);
    const at::Tensor sums = at::convolution((from.levels - each.grid.zero_point).to(at::kDouble).permute({0, 3, 1, 2}),
                                            from.weights.to(at::kDouble).permute({0, 3, 1, 2}), std::nullopt, c.stride,
                                            c.padding, c.dilation, false, {0, 0}, 1)
                                .permute({0, 2, 3, 1});
    const at::Tensor scaled = sums.to(at::kFloat) * from.factors;
    for (const integer::Path path : integer::available_paths()) {
      for (const int threads : {1, 2}) {
        at::set_num_threads(threads);
        at::Tensor y;
        ASSERT_TRUE(convolve(each, from, y, path));
        EXPECT_TRUE(y.equal(scaled + from.bias))
            << integer::path_name(path) << " " << c.in[0] << " by " << c.in[1] << ", " << threads << " threads";
        ASSERT_TRUE(convolve(each, from, y, path, /*with_bias=*/false));
        EXPECT_TRUE(y.equal(scaled)) << integer::path_name(path);
      }
    }
  }
  at::set_num_threads(before);
}

TEST(GridConvolution, RefusesValuesThatAreNotOnTheGrid) {
  at::manual_seed(4);
  const Case each{convolution(2, 16, 8, {6, 6}, {3, 3}, {1, 1}, {1, 1}), {0.05F, 3, -128}};
  const Tensors from = tensors(each);
  at::Tensor y;
  ASSERT_TRUE(convolve(each, from, y, integer::best_path()));
  const float on_grid = from.x[1][3][2][5].item<float>();
  for (const float wrong : {std::nextafter(on_grid, 100.0F), on_grid + 0.02F, 0.05F * 140, 0.05F * -140, 1e30F,
                            std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Tensors spoilt = from;
    spoilt.x = from.x.clone();
    spoilt.x[1][3][2][5] = wrong;
    EXPECT_FALSE(convolve(each, spoilt, y, integer::best_path())) << wrong;
  }
}

TEST(GridConvolution, FindsTheMultiplesOfAStep) {
  const std::vector<float> values{0.0F, 0.3F, -0.6F, 12.7F, -12.7F, 0.1F * 1.0005F};
  std::vector<int8_t> levels(values.size());
  ASSERT_TRUE(integer::find_multiples(values.data(), 6, 0.1F, levels.data()));
  EXPECT_EQ(levels, (std::vector<int8_t>{0, 3, -6, 127, -127, 1}));
  ASSERT_TRUE(integer::find_multiples(values.data(), 5, -0.1F, levels.data()));
  EXPECT_EQ(levels[1], -3);
  for (const float wrong : {0.15F, 0.1F * 1.002F, 12.8F, 1e20F, std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_FALSE(integer::find_multiples(&wrong, 1, 0.1F, levels.data())) << wrong;
  }
  EXPECT_FALSE(integer::find_multiples(values.data(), 2, 0.0F, levels.data()));
}

TEST(GridConvolution, IsWorthItWhereThereAreProductsOf8BitsAndRoom) {
  const integer::Path best = integer::best_path();
  const bool is_fast = best == integer::Path::kVnni || best == integer::Path::kAmx;
  EXPECT_EQ(integer::is_worth_integers(convolution(1, 64, 16, {8, 8}, {3, 3})), is_fast);
  EXPECT_FALSE(integer::is_worth_integers(convolution(1, 16, 24, {8, 8}, {3, 3})));
  EXPECT_FALSE(integer::is_worth_integers(convolution(1, 70000, 8, {1, 1}, {1, 1})));
}

}  // namespace
}  // namespace octet
