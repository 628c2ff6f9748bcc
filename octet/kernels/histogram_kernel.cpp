#include "octet/kernels/histogram_kernel.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <limits>

#include "octet/kernels/multi_isa.h"
#include "octet/kernels/parallel.h"

namespace octet {
namespace {

struct ErrorTerms {
  float bin_width;
  float level_width;
  float half_level;
  float whole_level_norm;  // of a level that lies inside a bin
  float low_cubed;         // (-half_level)^3
  float high_cubed;
  double top;
};

// The quotient of two float32 is exact enough in double for its floor never to be wrong below 2^20 levels.
template <typename Integer>
[[gnu::always_inline]] inline float level_of(float position, const ErrorTerms& t) {
  double level = static_cast<double>(position) / static_cast<double>(t.level_width);
  level = level > 0 ? level : 0;
  level = level < t.top ? level : t.top;
  return static_cast<float>(static_cast<Integer>(level));
}

template <typename Integer>
[[gnu::always_inline]] inline void errors_of_bins(const float* density, float* errors, int64_t bins, int64_t start,
                                                  const ErrorTerms& terms) {
  const ErrorTerms t = terms;
  const auto first = static_cast<int32_t>(start);
  const auto count = static_cast<int32_t>(bins);
  for (int32_t i = 0; i < count; ++i) {
    const float begin = static_cast<float>(i - first) * t.bin_width;
    const float end = begin + t.bin_width;
    const float begin_level = level_of<Integer>(begin, t);
    const float end_level = level_of<Integer>(end, t);
    const float to_center = begin - (begin_level + 0.5F) * t.level_width;
    const float from_center = end - (end_level * t.level_width + t.half_level);
    float error = density[i] * ((t.high_cubed - to_center * to_center * to_center) / 3.0F);
    error += (end_level - begin_level - 1.0F) * (density[i] * t.whole_level_norm);
    error += density[i] * ((from_center * from_center * from_center - t.low_cubed) / 3.0F);
    errors[i] = error;
  }
}

OCTET_MULTI_ISA(errors_of_few_levels,
                (const float* density, float* errors, int64_t bins, int64_t start, const ErrorTerms& terms),
                (density, errors, bins, start, terms),
                { errors_of_bins<int32_t>(density, errors, bins, start, terms); })

constexpr int64_t kBinChunk = 1024;
constexpr int64_t kBinGrain = 1 << 16;
// Counters of a bin: equal neighbours, as zeros behind a ReLU, need not wait for each other.
constexpr int64_t kTables = 4;

OCTET_MULTI_ISA(bins_of,
                (const float* x, int32_t* bin, int64_t count, float low, float high, int32_t bins, int32_t* outside),
                (x, bin, count, low, high, bins, outside), {
                  const auto scale = static_cast<float>(bins);
                  const auto last = static_cast<float>(bins - 1);
                  const float width = high - low;
                  int32_t beyond = 0;
                  for (int64_t i = 0; i < count; ++i) {
                    float at = (x[i] - low) * scale / width;
                    at = at > 0 ? at : 0;  // NaN, too
                    at = at < last ? at : last;
                    bin[i] = static_cast<int32_t>(at);
                    beyond |= 1 - static_cast<int32_t>((x[i] >= low) & (x[i] <= high));
                  }
                  *outside |= beyond;
                })

// Counts of one thread. Counters of 16 bits take half of the first cache, which two threads of a core share.
class BinCounter {
 public:
  explicit BinCounter(int64_t bins) : bins_(bins), tables_(kTables * bins, 0), sums_(bins, 0) {}

  void add(const int32_t* bin, int64_t count) {
    const int64_t most = count / kTables + kTables - 1;  // in one counter
    if (held_ + most > std::numeric_limits<uint16_t>::max()) empty_tables();
    held_ += most;
    uint16_t* const table = tables_.data();
    int64_t i = 0;
    for (; i + kTables <= count; i += kTables) {
      for (int64_t t = 0; t < kTables; ++t) ++table[t * bins_ + bin[i + t]];
    }
    for (; i < count; ++i) ++table[bin[i]];
  }

  const std::vector<uint64_t>& sums() {
    empty_tables();
    return sums_;
  }

 private:
  void empty_tables() {
    for (int64_t t = 0; t < kTables; ++t) {
      for (int64_t b = 0; b < bins_; ++b) sums_[b] += tables_[t * bins_ + b];
    }
    std::fill(tables_.begin(), tables_.end(), 0);
    held_ = 0;
  }

  int64_t bins_;
  std::vector<uint16_t> tables_;
  std::vector<uint64_t> sums_;
  int64_t held_ = 0;  // at most, by a counter
};

}  // namespace

bool count_bins(const float* x, int64_t count, float low, float high, int64_t bins, float* counts) {
  const int64_t parts = std::clamp<int64_t>(count / kBinGrain, 1, threads());
  std::vector<std::vector<uint64_t>> sums(parts);
  std::vector<int32_t> outside(parts, 0);
  parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    std::array<int32_t, kBinChunk> bin;
    for (int64_t part = begin; part < end; ++part) {
      BinCounter counter(bins);
      const int64_t last = count * (part + 1) / parts;
      for (int64_t at = count * part / parts; at < last && outside[part] == 0; at += kBinChunk) {
        const int64_t chunk = std::min(kBinChunk, last - at);
        bins_of(x + at, bin.data(), chunk, low, high, static_cast<int32_t>(bins), &outside[part]);
        counter.add(bin.data(), chunk);
      }
      sums[part] = counter.sums();
    }
  });
  for (int64_t b = 0; b < bins; ++b) {
    uint64_t sum = 0;
    for (const std::vector<uint64_t>& each : sums) sum += each[b];
    counts[b] = static_cast<float>(sum);
  }
  return std::all_of(outside.begin(), outside.end(), [](int32_t each) { return each == 0; });
}

void spread_bins(const float* old_counts, int64_t bins, int64_t parts, const float* middles, const float* edges,
                 float* counts) {
  std::fill(counts, counts + bins, 0.0F);
  int64_t b = 0;
  for (int64_t old = 0; old < bins; ++old) {
    const float share = old_counts[old] / static_cast<float>(parts);
    for (int64_t part = 0; part < parts; ++part, ++middles) {
      while (b < bins - 1 && edges[b + 1] <= *middles) ++b;
      while (b > 0 && edges[b] > *middles) --b;
      counts[b] += share;
    }
  }
}

HistogramError::HistogramError(const float* histogram, int64_t bins, double bin_width, int64_t levels)
    : bins_(bins), bin_width_(bin_width), levels_(levels), density_(bins), errors_(bins) {
  const auto width = static_cast<float>(bin_width);
  for (int64_t i = 0; i < bins; ++i) density_[i] = histogram[i] / width;
}

double HistogramError::operator()(int64_t start, int64_t end) {
  const double level_width = bin_width_ * static_cast<double>(end - start + 1) / static_cast<double>(levels_);
  if (level_width == 0.0) return 0.0;
  const auto half = static_cast<float>(level_width / 2);
  const float high_cubed = half * half * half;
  const float low_cubed = -half * -half * -half;
  const ErrorTerms terms{static_cast<float>(bin_width_),
                         static_cast<float>(level_width),
                         half,
                         (high_cubed - low_cubed) / 3.0F,
                         low_cubed,
                         high_cubed,
                         static_cast<double>(static_cast<float>(levels_ - 1))};
  if (levels_ <= std::numeric_limits<int32_t>::max()) {
    errors_of_few_levels(density_.data(), errors_.data(), bins_, start, terms);
  } else {
    errors_of_bins<int64_t>(density_.data(), errors_.data(), bins_, start, terms);
  }
  return at::from_blob(errors_.data(), {bins_}, at::kFloat).sum().item<double>();
}

BinRange search_least_error(const float* histogram, const float* cumulative, int64_t bins, double total,
                            double bin_width, int64_t levels) {
  constexpr double kStep = 1e-5;
  HistogramError error_of(histogram, bins, bin_width, levels);
  double alpha = 0.0;
  double beta = 1.0;
  double least = std::numeric_limits<double>::infinity();
  BinRange kept{0, bins - 1};
  while (alpha < beta) {
    const double next_alpha = alpha + kStep;
    const double next_beta = beta - kStep;
    const auto lower = static_cast<float>(next_alpha * total);
    const auto upper = static_cast<float>(next_beta * total);
    int64_t left = kept.start;
    int64_t right = kept.end;
    while (left < kept.end && cumulative[left] < lower) ++left;
    while (right > kept.start && cumulative[right] > upper) --right;

    BinRange candidate = kept;
    if (left - kept.start > kept.end - right) {
      candidate.start = left;
      alpha = next_alpha;
    } else {
      candidate.end = right;
      beta = next_beta;
    }
    if (candidate.start == kept.start && candidate.end == kept.end) continue;

    const double error = error_of(candidate.start, candidate.end);
    if (error > least) break;
    least = error;
    kept = candidate;
  }
  return kept;
}

}  // namespace octet
