#include "octet/kernels/histogram_kernel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

namespace octet {
namespace {

// The error of a range, operator by operator on whole tensors, as the fact sheet (2.4) writes it.
double plain_error(const at::Tensor& histogram, double bin_width, int64_t start, int64_t end, int64_t levels) {
  const int64_t bins = histogram.numel();
  const double level = bin_width * static_cast<double>(end - start + 1) / static_cast<double>(levels);
  if (level == 0.0) return 0.0;
  const auto norm = [](const at::Tensor& from, const at::Tensor& to, const at::Tensor& density) {
    return density * ((to * to * to - from * from * from) / 3);
  };
  const auto level_of = [&](const at::Tensor& position) {
    return at::clamp(at::div(position, level, "floor"), 0, static_cast<double>(levels - 1));
  };
  const at::Tensor begin = (at::arange(bins, at::kLong) - start) * bin_width;
  const at::Tensor stop = begin + bin_width;
  const at::Tensor first = level_of(begin);
  const at::Tensor last = level_of(stop);
  const at::Tensor density = histogram / bin_width;
  const at::Tensor half = at::full({}, level / 2, at::kFloat);
  at::Tensor sum = at::zeros({bins});
  sum += norm(begin - (first + 0.5) * level, at::ones({bins}) * (level / 2), density);
  sum += (last - first - 1) * norm(-half, half, density);
  sum += norm(-half, stop - (last * level + level / 2), density);
  return sum.sum().item<double>();
}

BinRange plain_search(const at::Tensor& histogram, double bin_width, int64_t levels) {
  const int64_t bins = histogram.numel();
  const double total = histogram.sum().item<double>();
  const at::Tensor cumulative = histogram.cumsum(0);
  const auto below = [&](int64_t bin, double bound) { return cumulative[bin].lt(bound).item<bool>(); };
  const auto above = [&](int64_t bin, double bound) { return cumulative[bin].gt(bound).item<bool>(); };
  double alpha = 0.0;
  double beta = 1.0;
  double least = std::numeric_limits<double>::infinity();
  int64_t start = 0;
  int64_t end = bins - 1;
  while (alpha < beta) {
    const double next_alpha = alpha + 1e-5;
    const double next_beta = beta - 1e-5;
    int64_t left = start;
    int64_t right = end;
    while (left < end && below(left, next_alpha * total)) ++left;
    while (right > start && above(right, next_beta * total)) --right;
    int64_t next_start = start;
    int64_t next_end = end;
    if (left - start > end - right) {
      next_start = left;
      alpha = next_alpha;
    } else {
      next_end = right;
      beta = next_beta;
    }
    if (next_start == start && next_end == end) continue;
    const double error = plain_error(histogram, bin_width, next_start, next_end, levels);
    if (error > least) break;
    least = error;
    start = next_start;
    end = next_end;
  }
  return {start, end};
}

struct Shape {
  const char* name;
  at::Tensor (*sample)();
};
const Shape kShapes[] = {
    {"normal", [] { return at::randn({20000}); }},
    {"relu", [] { return at::relu(at::randn({20000})); }},
    {"long_tail", [] { return at::randn({20000}).pow(3); }},
    {"one_sided_tail", [] { return at::rand({20000}).log().neg() * 4; }},
    {"uniform", [] { return at::rand({20000}) * 6 - 1; }},
    {"two_peaks",
     [] {
       return at::cat({at::randn({5000}) - 9, at::randn({9000}) * 0.1 + 3});
     }},
    {"outlier",
     [] {
       return at::cat({at::randn({9999}), at::full({1}, 400.0F)});
     }},
    {"few", [] { return at::randn({7}); }},
};

class Histograms : public testing::TestWithParam<Shape> {
 protected:
  static at::Tensor finite_sample() {
    at::manual_seed(11);
    const at::Tensor x = GetParam().sample();
    return x.masked_select(at::isfinite(x));
  }
};

TEST_P(Histograms, ErrorEqualsTheFormulaToTheBit) {
  const at::Tensor x = finite_sample();
  const double low = x.min().item<float>();
  const double high = x.max().item<float>();
  for (const int64_t bins : {2048, 100}) {
    const at::Tensor histogram = at::histc(x, bins, low, high);
    const double width = (high - low) / static_cast<double>(bins);
    for (const int64_t levels : {int64_t{256}, int64_t{65536}}) {
      HistogramError error_of(histogram.const_data_ptr<float>(), bins, width, levels);
      for (const auto& [start, end] :
           {std::pair<int64_t, int64_t>{0, bins - 1}, {0, bins / 2}, {3, bins - 7}, {bins / 3, bins / 3}}) {
        EXPECT_EQ(error_of(start, end), plain_error(histogram, width, start, end, levels))
            << bins << " bins, " << levels << " levels, [" << start << ", " << end << "]";
      }
    }
  }
}

TEST_P(Histograms, SearchFindsTheSameBins) {
  const at::Tensor x = finite_sample();
  const double low = x.min().item<float>();
  const double high = x.max().item<float>();
  for (const int64_t bins : {2048, 256}) {
    const at::Tensor histogram = at::histc(x, bins, low, high);
    const at::Tensor cumulative = histogram.cumsum(0);
    const double width = (high - low) / static_cast<double>(bins);
    const BinRange fast = search_least_error(histogram.const_data_ptr<float>(), cumulative.const_data_ptr<float>(),
                                             bins, histogram.sum().item<double>(), width, 256);
    const BinRange plain = plain_search(histogram, width, 256);
    EXPECT_EQ(fast.start, plain.start) << bins << " bins";
    EXPECT_EQ(fast.end, plain.end) << bins << " bins";
  }
}

INSTANTIATE_TEST_SUITE_P(All, Histograms, testing::ValuesIn(kShapes),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(HistogramSearch, CutsAnOutlierWhereRoundingCostsMore) {
  at::manual_seed(12);
  const at::Tensor x = at::cat({at::randn({99999}), at::full({1}, 40.0F)});
  const at::Tensor histogram = at::histc(x, 2048, x.min().item<float>(), 40);
  const at::Tensor cumulative = histogram.cumsum(0);
  const double width = (40 - x.min().item<float>()) / 2048.0;
  const auto last_bin = [&](int64_t levels) {
    return search_least_error(histogram.const_data_ptr<float>(), cumulative.const_data_ptr<float>(), 2048, 1e5, width,
                              levels)
        .end;
  };
  EXPECT_LT(last_bin(16), 600);    // a level is 2.8 wide: cut to about 8
  EXPECT_GT(last_bin(256), 2000);  // 0.17: the outlier alone would cost more
}

TEST(HistogramSearch, ZeroWidthCostsNothing) {
  const at::Tensor histogram = at::ones({16});
  HistogramError error_of(histogram.const_data_ptr<float>(), 16, 0.0, 256);
  EXPECT_EQ(error_of(0, 15), 0.0);
}

TEST(CountBins, EqualsHistc) {
  const int before = at::get_num_threads();
  at::manual_seed(2);
  const std::vector<at::Tensor> values{at::randn({200001}),
                                       at::randn({300}).relu(),
                                       at::randn({1000}) * 1e-30F,
                                       at::rand({70000}) * 3e29F,
                                       at::randint(-9, 9, {501}).to(at::kFloat),
                                       at::tensor({0.1F, 0.7F}),
                                       at::cat({at::zeros({700000}), at::ones({3})})};
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (const at::Tensor& x : values) {
      for (const int64_t bins : {1, 7, 32, 2048}) {
        const auto low = x.min().item<float>();
        const auto high = x.max().item<float>();
        at::Tensor counts = at::empty({bins});
        ASSERT_TRUE(
            count_bins(x.const_data_ptr<float>(), x.numel(), low, high, bins, counts.mutable_data_ptr<float>()));
        EXPECT_TRUE(at::equal(counts, at::histc(x, bins, low, high))) << bins << " bins, " << x.numel();
      }
    }
  }
  at::set_num_threads(before);
}

TEST(SpreadBins, PutsEachPartWhereItsMiddleFalls) {
  at::manual_seed(5);
  for (const auto& [low, high] : {std::pair(-2.0F, 3.0F), {-1.0F, 1.0F}, {-9.5F, 1.25F}}) {
    const at::Tensor old_counts = at::randint(0, 90, {64}).to(at::kFloat);
    const at::Tensor middles = at::linspace(-1 + 1.0 / 1024, 1 - 1.0 / 1024, 64 * 16);
    const at::Tensor edges = at::linspace(low, high, 65);
    at::Tensor counts = at::empty({64});
    spread_bins(old_counts.const_data_ptr<float>(), 64, 16, middles.const_data_ptr<float>(),
                edges.const_data_ptr<float>(), counts.mutable_data_ptr<float>());
    const at::Tensor bin = (at::bucketize(middles, edges, false, /*right=*/true) - 1).clamp(0, 63);
    EXPECT_TRUE(at::equal(counts, at::bincount(bin, at::repeat_interleave(old_counts, 16) / 16, 64))) << low;
  }
}

TEST(CountBins, TellsWhatLiesOutside) {
  std::vector<float> counts(8);
  for (const float odd :
       {-1.5F, 1.5F, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(3000, 0.5F);
    EXPECT_TRUE(count_bins(x.data(), 3000, -1, 1, 8, counts.data()));
    x[2999] = odd;
    EXPECT_FALSE(count_bins(x.data(), 3000, -1, 1, 8, counts.data()));
  }
}

}  // namespace
}  // namespace octet
