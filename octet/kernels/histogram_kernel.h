#pragma once

#include <cstdint>
#include <vector>

namespace octet {

/// How many of `count` elements fall into each of `bins` bins of equal width, at most 2^24, between `low` and `high`,
/// low < high: to the bit what at::histc gives for float32, except that counts beyond 2^24 stay exact to a rounding.
/// False, and counts of no meaning, where an element lies outside or is NaN.
[[nodiscard]] bool count_bins(const float* x, int64_t count, float low, float high, int64_t bins, float* counts);

/// Counts on bins of new edges, ascending, [bins + 1]: each old bin's in `parts` equal parts, where the middle of each
/// falls ([bins * parts], nearly ascending); beyond the edges in the outermost bin.
void spread_bins(const float* old_counts, int64_t bins, int64_t parts, const float* middles, const float* edges,
                 float* counts);

/// What a histogram's mass loses when bins [start, end] are quantized to `levels` steps: the L2 error, each bin's mass
/// spread evenly over its width, mass outside charged by its distance to the outermost level.
class HistogramError {
 public:
  /// `bin_width` is (max - min) / bins.
  HistogramError(const float* histogram, int64_t bins, double bin_width, int64_t levels);
  /// Float32 elementwise, as torchao computes it, bit for bit; summed by at::sum.
  double operator()(int64_t start, int64_t end);

 private:
  int64_t bins_;
  double bin_width_;
  int64_t levels_;
  std::vector<float> density_;
  std::vector<float> errors_;
};

/// First and last bin of the range whose error is least, by a greedy walk: a quantile step of 1e-5 from the side that
/// cuts more bins, until the error first grows. `cumulative` is the histogram's running sum, `total` its sum.
struct BinRange {
  int64_t start;
  int64_t end;
};
BinRange search_least_error(const float* histogram, const float* cumulative, int64_t bins, double total,
                            double bin_width, int64_t levels);

}  // namespace octet
