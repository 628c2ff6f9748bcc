#include "octet/kernels/channel_rows.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "octet/kernels/clip_and_round.h"
#include "octet/kernels/multi_isa.h"
#include "octet/kernels/parallel.h"
#include "octet/kernels/rounding.h"

namespace octet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kGrain = 1 << 15;
// Floats side by side that one step of a loop takes: few channels stand several times in a row of lanes.
constexpr int64_t kLanes = 64;
constexpr int64_t kBlock = 1 << 15;  // floats of a block, whose sums are float
constexpr int64_t kLeastRows = 128;  // of lanes in a block

// Of channels that stand side by side: whole pixels.
int64_t lanes_of(int64_t channels) { return (kLanes + channels - 1) / channels * channels; }
std::vector<float> in_lanes(const std::vector<float>& values) {
  const auto channels = static_cast<int64_t>(values.size());
  std::vector<float> lanes;
  for (int64_t l = 0; l < lanes_of(channels); l += channels) lanes.insert(lanes.end(), values.begin(), values.end());
  return lanes;
}

// The memory of a tensor cut into blocks, and each into rows of lanes, a lane within one channel.
struct Blocks {
  explicit Blocks(const ChannelLayout& layout) : total(layout.numel()) {
    interleaved = layout.inner == 1;
    channels = layout.channels;
    if (interleaved) {
      lanes = lanes_of(channels);
      size = std::max(kLeastRows, kBlock / lanes) * lanes;
    } else {
      lanes = kLanes;
      size = layout.inner;
    }
    count = (total + size - 1) / size;
  }

  int64_t begin(int64_t block) const { return block * size; }
  int64_t length(int64_t block) const { return std::min(size, total - begin(block)); }
  int64_t channels_each() const { return interleaved ? channels : 1; }
  int64_t first_channel(int64_t block) const { return interleaved ? 0 : block % channels; }
  int64_t grain() const { return std::max<int64_t>(1, kGrain / size); }

  bool interleaved;
  int64_t total;
  int64_t channels;
  int64_t lanes;
  int64_t size;  // floats of a block; the last may have fewer
  int64_t count;
};

// A number a channel as one a lane.
class LaneValues {
 public:
  LaneValues(const Blocks& blocks, const std::vector<float>& values)
      : interleaved_(blocks.interleaved),
        values_(values),
        lanes_(interleaved_ ? in_lanes(values) : std::vector<float>(static_cast<size_t>(blocks.lanes))) {}
  void turn_to(int64_t channel) {
    if (!interleaved_) std::fill(lanes_.begin(), lanes_.end(), values_[static_cast<size_t>(channel)]);
  }
  const float* data() const { return lanes_.data(); }

 private:
  bool interleaved_;
  const std::vector<float>& values_;
  std::vector<float> lanes_;
};

// Calls work(block, offset, rows, lanes) for the rows of a block, and once more for what is left of its last row.
template <typename Work>
void for_rows(const Blocks& blocks, int64_t block, const Work& work) {
  const int64_t begin = blocks.begin(block);
  const int64_t rows = blocks.length(block) / blocks.lanes;
  const int64_t left = blocks.length(block) % blocks.lanes;
  if (rows > 0) work(begin, rows, blocks.lanes);
  if (left > 0) work(begin + rows * blocks.lanes, int64_t{1}, left);
}

// Asks for memory that is read soon: several streams side by side are more than the CPU foresees by itself.
[[gnu::always_inline]] inline void fetch_ahead(const float* row, int64_t lanes) {
  constexpr int64_t kAhead = 2048;
  constexpr int64_t kLine = 16;
  for (int64_t l = 0; l < lanes; l += kLine) __builtin_prefetch(row + kAhead + l);
}

struct LaneSums {
  float* shift;
  float* sum;
  float* squares;
  float* low;
  float* high;
};

OCTET_MULTI_ISA(mean_of_rows, (const float* x, int64_t rows, int64_t lanes, float* mean), (x, rows, lanes, mean), {
  for (int64_t l = 0; l < lanes; ++l) mean[l] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * lanes;
    _Pragma("GCC ivdep") for (int64_t l = 0; l < lanes; ++l) mean[l] += row[l];
  }
  const float share = 1.0F / static_cast<float>(rows);
  for (int64_t l = 0; l < lanes; ++l) mean[l] *= share;
})

OCTET_MULTI_ISA(moments_of_rows, (const float* x, int64_t rows, int64_t lanes, const LaneSums& sums),
                (x, rows, lanes, sums), {
                  const float* shift = sums.shift;
                  float* sum = sums.sum;
                  float* squares = sums.squares;
                  float* low = sums.low;
                  float* high = sums.high;
                  int64_t r = 0;
                  for (; r + 2 <= rows; r += 2) {
                    const float* x0 = x + r * lanes;
                    const float* x1 = x0 + lanes;
                    fetch_ahead(x0, 2 * lanes);
                    _Pragma("GCC ivdep") for (int64_t l = 0; l < lanes; ++l) {
                      const float k = shift[l];
                      const float d0 = x0[l] - k;
                      const float d1 = x1[l] - k;
                      sum[l] += d0 + d1;
                      squares[l] += d0 * d0 + d1 * d1;
                      const float least = x0[l] < x1[l] ? x0[l] : x1[l];
                      low[l] = least < low[l] ? least : low[l];
                      const float most = x0[l] > x1[l] ? x0[l] : x1[l];
                      high[l] = most > high[l] ? most : high[l];
                    }
                  }
                  for (; r < rows; ++r) {
                    const float* row = x + r * lanes;
                    _Pragma("GCC ivdep") for (int64_t l = 0; l < lanes; ++l) {
                      const float d = row[l] - shift[l];
                      sum[l] += d;
                      squares[l] += d * d;
                      low[l] = row[l] < low[l] ? row[l] : low[l];
                      high[l] = row[l] > high[l] ? row[l] : high[l];
                    }
                  }
                })

// Channels that `count` elements each were seen of, as arrays.
struct MomentArrays {
  double* mean;
  double* squares;
  float* low;
  float* high;
};

// The same for a set of elements more: Chan, Golub and LeVeque's merge.
struct Merge {
  Merge(double seen, double more) : share(more / (seen + more)), weight(seen * share) {}
  double share;
  double weight;
};

OCTET_MULTI_ISA(merge_lanes,
                (const MomentArrays& into, const LaneSums& lanes, int64_t channels, double more, const Merge& merge),
                (into, lanes, channels, more, merge), {
                  const MomentArrays m = into;
                  const LaneSums s = lanes;
                  const double each = 1.0 / more;
                  const Merge g = merge;
                  _Pragma("GCC ivdep") for (int64_t c = 0; c < channels; ++c) {
                    const double sum = s.sum[c];
                    const double mean = s.shift[c] + sum * each;
                    const double squares = s.squares[c] - sum * sum * each;
                    const double delta = mean - m.mean[c];
                    m.mean[c] += delta * g.share;
                    m.squares[c] += squares + delta * delta * g.weight;
                    m.low[c] = s.low[c] < m.low[c] ? s.low[c] : m.low[c];
                    m.high[c] = s.high[c] > m.high[c] ? s.high[c] : m.high[c];
                  }
                })

OCTET_MULTI_ISA(merge_moments,
                (const MomentArrays& into, const MomentArrays& from, int64_t channels, const Merge& merge),
                (into, from, channels, merge), {
                  const MomentArrays m = into;
                  const MomentArrays f = from;
                  const Merge g = merge;
                  _Pragma("GCC ivdep") for (int64_t c = 0; c < channels; ++c) {
                    const double delta = f.mean[c] - m.mean[c];
                    m.mean[c] += delta * g.share;
                    m.squares[c] += f.squares[c] + delta * delta * g.weight;
                    m.low[c] = f.low[c] < m.low[c] ? f.low[c] : m.low[c];
                    m.high[c] = f.high[c] > m.high[c] ? f.high[c] : m.high[c];
                  }
                })

struct NormalizeLanes {
  const float* mean;
  const float* scale;
  const float* shift;
};

OCTET_MULTI_ISA(normalize_rows,
                (const float* x, float* y, int64_t rows, int64_t lanes, const NormalizeLanes& affine,
                 const ClipAndRound& rounding),
                (x, y, rows, lanes, affine, rounding), {
                  const NormalizeLanes a = affine;
                  const ClipAndRound g = rounding;
                  for (int64_t r = 0; r < rows; ++r) {
                    const float* in = x + r * lanes;
                    float* out = y + r * lanes;
                    fetch_ahead(in, lanes);
                    _Pragma("GCC ivdep") for (int64_t l = 0; l < lanes; ++l) {
                      out[l] = clip_and_round((in[l] - a.mean[l]) * a.scale[l] + a.shift[l], g);
                    }
                  }
                })

OCTET_MULTI_ISA(gradient_sums_of_rows,
                (const float* x, const float* gradient, int64_t rows, int64_t lanes, const NormalizeLanes& affine,
                 const PassInterval& passes, float* plain, float* deviation),
                (x, gradient, rows, lanes, affine, passes, plain, deviation), {
                  const NormalizeLanes a = affine;
                  const float low = passes.low;
                  const float high = passes.high;
                  for (int64_t r = 0; r < rows; ++r) {
                    const float* in = x + r * lanes;
                    const float* grad = gradient + r * lanes;
                    fetch_ahead(in, lanes);
                    fetch_ahead(grad, lanes);
                    _Pragma("GCC ivdep") for (int64_t l = 0; l < lanes; ++l) {
                      const float d = in[l] - a.mean[l];
                      const float z = d * a.scale[l] + a.shift[l];
                      const float g = ((z >= low) & (z <= high)) ? grad[l] : 0.0F;
                      plain[l] += g;
                      deviation[l] += g * d;
                    }
                  }
                })

struct GradientLanes {
  NormalizeLanes affine;
  const float* slope;
  const float* offset;
};

OCTET_MULTI_ISA(gradient_rows,
                (const float* x, const float* gradient, float* result, int64_t rows, int64_t lanes,
                 const GradientLanes& values, const PassInterval& passes),
                (x, gradient, result, rows, lanes, values, passes), {
                  const GradientLanes v = values;
                  const float low = passes.low;
                  const float high = passes.high;
                  for (int64_t r = 0; r < rows; ++r) {
                    const float* in = x + r * lanes;
                    const float* grad = gradient + r * lanes;
                    float* out = result + r * lanes;
                    fetch_ahead(in, lanes);
                    fetch_ahead(grad, lanes);
                    _Pragma("GCC ivdep") for (int64_t l = 0; l < lanes; ++l) {
                      const float d = in[l] - v.affine.mean[l];
                      const float z = d * v.affine.scale[l] + v.affine.shift[l];
                      const float g = ((z >= low) & (z <= high)) ? grad[l] : 0.0F;
                      out[l] = v.affine.scale[l] * g + v.slope[l] * d + v.offset[l];
                    }
                  }
                })

// Sums of the lanes of one block.
struct BlockSums {
  explicit BlockSums(const Blocks& blocks) : values(static_cast<size_t>(5 * blocks.lanes)), lanes(blocks.lanes) {}
  LaneSums arrays() {
    float* first = values.data();
    return {first, first + lanes, first + 2 * lanes, first + 3 * lanes, first + 4 * lanes};
  }
  void clear() {
    const LaneSums all = arrays();
    std::fill(all.sum, all.low, 0.0F);
    std::fill(all.low, all.high, kInfinity);
    std::fill(all.high, all.high + lanes, -kInfinity);
  }
  std::vector<float> values;
  int64_t lanes;
};

// Floats in the order of their values.
int32_t ordered(float value) {
  const auto bits = std::bit_cast<int32_t>(value);
  return bits < 0 ? std::numeric_limits<int32_t>::min() - bits : bits;
}
float from_ordered(int64_t order) {
  const auto place = static_cast<int32_t>(order);
  return std::bit_cast<float>(place < 0 ? std::numeric_limits<int32_t>::min() - place : place);
}

// The first float, from -inf on, for which `holds`, which stays true once it is; +inf's successor where none is.
template <typename Holds>
int64_t first_that(const Holds& holds) {
  int64_t below = ordered(-kInfinity) - int64_t{1};
  int64_t found = ordered(kInfinity) + int64_t{1};
  while (found - below > 1) {
    const int64_t middle = below + (found - below) / 2;
    (holds(from_ordered(middle)) ? found : below) = middle;
  }
  return found;
}

}  // namespace

ChannelMoments channel_moments(const float* x, const ChannelLayout& layout) {
  const Blocks blocks(layout);
  const int64_t each = blocks.channels_each();
  const auto slots = static_cast<size_t>(blocks.count * each);
  ChannelMoments parts{std::vector<double>(slots), std::vector<double>(slots), std::vector<float>(slots, kInfinity),
                       std::vector<float>(slots, -kInfinity)};
  const auto arrays = [](ChannelMoments& moments, int64_t slot) {
    return MomentArrays{&moments.mean[slot], &moments.squares[slot], &moments.low[slot], &moments.high[slot]};
  };
  parallel_for(0, blocks.count, blocks.grain(), [&](int64_t begin, int64_t end) {
    BlockSums sums(blocks);
    for (int64_t block = begin; block < end; ++block) {
      sums.clear();
      const LaneSums lanes = sums.arrays();
      const float* first = x + blocks.begin(block);
      const int64_t rows = blocks.length(block) / blocks.lanes;
      const int64_t left = blocks.length(block) % blocks.lanes;
      constexpr int64_t kRowsOfShift = 8;
      if (rows > 0) {
        mean_of_rows(first, std::min(rows, kRowsOfShift), blocks.lanes, lanes.shift);
      } else {
        std::copy(first, first + left, lanes.shift);
      }
      for_rows(blocks, block,
               [&](int64_t offset, int64_t count, int64_t width) { moments_of_rows(x + offset, count, width, lanes); });
      // Lane by lane, each copy of the channels in turn.
      int64_t seen = 0;
      const MomentArrays into = arrays(parts, block * each);
      for (int64_t lane = 0; lane < blocks.lanes; lane += each) {
        const int64_t more = rows + (lane < left ? 1 : 0);
        if (more == 0) break;
        const LaneSums copy{lanes.shift + lane, lanes.sum + lane, lanes.squares + lane, lanes.low + lane,
                            lanes.high + lane};
        merge_lanes(into, copy, each, static_cast<double>(more),
                    Merge(static_cast<double>(seen), static_cast<double>(more)));
        seen += more;
      }
    }
  });
  const auto channels = static_cast<size_t>(layout.channels);
  ChannelMoments whole{std::vector<double>(channels), std::vector<double>(channels),
                       std::vector<float>(channels, kInfinity), std::vector<float>(channels, -kInfinity)};
  int64_t seen = 0;  // of each channel that the block holds
  for (int64_t block = 0; block < blocks.count; ++block) {
    const int64_t first = blocks.first_channel(block);
    const int64_t more = blocks.length(block) / each;
    merge_moments(arrays(whole, first), arrays(parts, block * each), each,
                  Merge(static_cast<double>(seen), static_cast<double>(more)));
    if (first + each == layout.channels) seen += more;
  }
  return whole;
}

PassInterval pass_interval(const ClipAndRound& rounding, bool inside) {
  const auto level = [&](float z) {
    z = z < rounding.low ? rounding.low : z;
    z = z > rounding.high ? rounding.high : z;
    return level_of(z, rounding.inverse, rounding.zero_point);
  };
  const int64_t low = first_that(
      [&](float z) { return (inside ? z > rounding.low : z >= rounding.low) && level(z) >= rounding.least; });
  const int64_t beyond = first_that(
      [&](float z) { return (inside ? z >= rounding.high : z > rounding.high) || level(z) > rounding.most; });
  if (low >= beyond) return {kInfinity, -kInfinity};
  return {from_ordered(low), from_ordered(beyond - 1)};
}

void normalize_round(const float* x, float* y, const ChannelLayout& layout, const ChannelAffine& affine,
                     const ClipAndRound& rounding) {
  const Blocks blocks(layout);
  parallel_for(0, blocks.count, blocks.grain(), [&](int64_t begin, int64_t end) {
    LaneValues mean(blocks, affine.mean);
    LaneValues scale(blocks, affine.scale);
    LaneValues shift(blocks, affine.shift);
    for (int64_t block = begin; block < end; ++block) {
      for (LaneValues* values : {&mean, &scale, &shift}) values->turn_to(blocks.first_channel(block));
      for_rows(blocks, block, [&](int64_t offset, int64_t rows, int64_t lanes) {
        normalize_rows(x + offset, y + offset, rows, lanes, {mean.data(), scale.data(), shift.data()}, rounding);
      });
    }
  });
}

GradientSums gradient_sums(const float* x, const float* gradient, const ChannelLayout& layout,
                           const ChannelAffine& affine, const PassInterval& passes) {
  const Blocks blocks(layout);
  const int64_t each = blocks.channels_each();
  const auto slots = static_cast<size_t>(blocks.count * each);
  GradientSums parts{std::vector<double>(slots), std::vector<double>(slots)};
  parallel_for(0, blocks.count, blocks.grain(), [&](int64_t begin, int64_t end) {
    LaneValues mean(blocks, affine.mean);
    LaneValues scale(blocks, affine.scale);
    LaneValues shift(blocks, affine.shift);
    std::vector<float> plain(static_cast<size_t>(blocks.lanes));
    std::vector<float> deviation(static_cast<size_t>(blocks.lanes));
    for (int64_t block = begin; block < end; ++block) {
      for (LaneValues* values : {&mean, &scale, &shift}) values->turn_to(blocks.first_channel(block));
      std::fill(plain.begin(), plain.end(), 0.0F);
      std::fill(deviation.begin(), deviation.end(), 0.0F);
      for_rows(blocks, block, [&](int64_t offset, int64_t rows, int64_t lanes) {
        gradient_sums_of_rows(x + offset, gradient + offset, rows, lanes, {mean.data(), scale.data(), shift.data()},
                              passes, plain.data(), deviation.data());
      });
      for (int64_t lane = 0; lane < blocks.lanes; ++lane) {
        const auto slot = static_cast<size_t>(block * each + lane % each);
        parts.plain[slot] += plain[static_cast<size_t>(lane)];
        parts.with_deviation[slot] += deviation[static_cast<size_t>(lane)];
      }
    }
  });
  const auto channels = static_cast<size_t>(layout.channels);
  GradientSums whole{std::vector<double>(channels), std::vector<double>(channels)};
  for (int64_t block = 0; block < blocks.count; ++block) {
    for (int64_t c = 0; c < each; ++c) {
      const auto slot = static_cast<size_t>(block * each + c);
      const auto channel = static_cast<size_t>(blocks.first_channel(block) + c);
      whole.plain[channel] += parts.plain[slot];
      whole.with_deviation[channel] += parts.with_deviation[slot];
    }
  }
  return whole;
}

void normalize_gradient(const float* x, const float* gradient, float* result, const ChannelLayout& layout,
                        const GradientFormula& formula) {
  const Blocks blocks(layout);
  const ChannelAffine& affine = formula.affine;
  parallel_for(0, blocks.count, blocks.grain(), [&](int64_t begin, int64_t end) {
    LaneValues mean(blocks, affine.mean);
    LaneValues scale(blocks, affine.scale);
    LaneValues shift(blocks, affine.shift);
    LaneValues slopes(blocks, formula.slope);
    LaneValues offsets(blocks, formula.offset);
    const GradientLanes lane_values{{mean.data(), scale.data(), shift.data()}, slopes.data(), offsets.data()};
    for (int64_t block = begin; block < end; ++block) {
      for (LaneValues* values : {&mean, &scale, &shift, &slopes, &offsets}) {
        values->turn_to(blocks.first_channel(block));
      }
      for_rows(blocks, block, [&](int64_t at, int64_t rows, int64_t lanes) {
        gradient_rows(x + at, gradient + at, result + at, rows, lanes, lane_values, formula.passes);
      });
    }
  });
}

GradientPixels::GradientPixels(const float* x, const float* gradient, const GradientFormula& formula)
    : x_(x),
      gradient_(gradient),
      channels_(static_cast<int64_t>(formula.slope.size())),
      passes_(formula.passes),
      mean_(in_lanes(formula.affine.mean)),
      scale_(in_lanes(formula.affine.scale)),
      shift_(in_lanes(formula.affine.shift)),
      slope_(in_lanes(formula.slope)),
      offset_(in_lanes(formula.offset)) {}

void GradientPixels::make(int64_t first, int64_t count, float* to) const {
  const GradientLanes values{{mean_.data(), scale_.data(), shift_.data()}, slope_.data(), offset_.data()};
  const float* in = x_ + first * channels_;
  const float* given = gradient_ + first * channels_;
  const auto lanes = static_cast<int64_t>(slope_.size());
  const int64_t rows = count * channels_ / lanes, done = rows * lanes;
  gradient_rows(in, given, to, rows, lanes, values, passes_);
  gradient_rows(in + done, given + done, to + done, 1, count * channels_ - done, values, passes_);
}

}  // namespace octet
