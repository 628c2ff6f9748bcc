// Of channel_rows.h what knows no channels: an activation behind a sum, each number by itself.
#include <algorithm>
#include <cmath>
#include <limits>

#include "octet/kernels/channel_rows.h"
#include "octet/kernels/clip_and_round.h"
#include "octet/kernels/multi_isa.h"
#include "octet/kernels/parallel.h"

namespace octet {
namespace {

constexpr float kNothing = std::numeric_limits<float>::infinity();
constexpr int64_t kSumGrain = 1 << 15;
constexpr int64_t kRangeLanes = 32;

OCTET_MULTI_ISA(range_of_rows, (const float* a, const float* b, int64_t count, PassInterval* range),
                (a, b, count, range), {
                  float low[kRangeLanes];
                  float high[kRangeLanes];
                  float flaw[kRangeLanes];  // NaN once a value is none, or infinite
                  for (int64_t l = 0; l < kRangeLanes; ++l) {
                    low[l] = kNothing;
                    high[l] = -kNothing;
                    flaw[l] = 0;
                  }
                  const auto take = [&](int64_t at, int64_t lanes) {
                    for (int64_t l = 0; l < lanes; ++l) {
                      const float z = b == nullptr ? a[at + l] : a[at + l] + b[at + l];
                      low[l] = z < low[l] ? z : low[l];
                      high[l] = z > high[l] ? z : high[l];
                      flaw[l] += z * 0.0F;
                    }
                  };
                  const int64_t whole = count / kRangeLanes * kRangeLanes;
                  for (int64_t i = 0; i < whole; i += kRangeLanes) take(i, kRangeLanes);
                  take(whole, count - whole);
                  for (int64_t l = 0; l < kRangeLanes; ++l) {
                    range->low = low[l] < range->low ? low[l] : range->low;
                    range->high = high[l] > range->high ? high[l] : range->high;
                    if (flaw[l] != 0) range->low = range->high = flaw[l];
                  }
                })

OCTET_MULTI_ISA(sum_round_row,
                (const float* a, const float* b, float* y, uint8_t* mask, int64_t count, const ClipAndRound& rounding,
                 const PassInterval& passes),
                (a, b, y, mask, count, rounding, passes), {
                  const ClipAndRound g = rounding;
                  const PassInterval p = passes;
                  const auto round = [&](int64_t i, float z) {
                    if (mask != nullptr) mask[i] = static_cast<uint8_t>((z >= p.low) & (z <= p.high));
                    y[i] = clip_and_round(z, g);
                  };
                  if (b != nullptr) {
                    _Pragma("GCC ivdep") for (int64_t i = 0; i < count; ++i) round(i, a[i] + b[i]);
                  } else {
                    _Pragma("GCC ivdep") for (int64_t i = 0; i < count; ++i) round(i, a[i]);
                  }
                })

OCTET_MULTI_ISA(mask_gradient_row, (const float* gradient, const uint8_t* mask, float* result, int64_t count),
                (gradient, mask, result, count), {
                  for (int64_t i = 0; i < count; ++i) result[i] = mask[i] != 0 ? gradient[i] : 0.0F;
                })

}  // namespace

PassInterval range_of_sum(const float* a, const float* b, int64_t count) {
  const int64_t blocks = (count + kSumGrain - 1) / kSumGrain;
  std::vector<PassInterval> parts(static_cast<size_t>(blocks), {kNothing, -kNothing});
  parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t at = block * kSumGrain;
      range_of_rows(a + at, b == nullptr ? nullptr : b + at, std::min(kSumGrain, count - at),
                    &parts[static_cast<size_t>(block)]);
    }
  });
  PassInterval range{kNothing, -kNothing};
  for (const PassInterval& part : parts) {
    if (std::isnan(part.low)) return part;
    range = {std::min(range.low, part.low), std::max(range.high, part.high)};
  }
  return range;
}

void sum_round(const float* a, const float* b, float* y, uint8_t* mask, int64_t count, const ClipAndRound& rounding,
               const PassInterval& passes) {
  parallel_for(0, count, kSumGrain, [&](int64_t begin, int64_t end) {
    sum_round_row(a + begin, b == nullptr ? nullptr : b + begin, y + begin, mask == nullptr ? nullptr : mask + begin,
                  end - begin, rounding, passes);
  });
}

void mask_gradient(const float* gradient, const uint8_t* mask, float* result, int64_t count) {
  parallel_for(0, count, kSumGrain, [&](int64_t begin, int64_t end) {
    mask_gradient_row(gradient + begin, mask + begin, result + begin, end - begin);
  });
}

}  // namespace octet
