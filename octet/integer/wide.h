#pragma once

// Loops that AVX2 and AVX-512 share, over a `Vector`: one's registers and instructions. A file that includes this says
// with a pragma what instructions it may use, behind its other headers, and is compiled by itself: what the pragma does
// not cover could be taken elsewhere.
//
// A Vector has kLanes numbers of 32 bits, Int and Float, and the functions that the loops call.

#include <cstdint>
#include <cstring>

#include "octet/integer/path.h"

namespace octet::integer::wide {

/// Of a tile: AVX2 holds 12 registers of sums, 2 of weights, 1 of activations; AVX-512 24, 4 and 1.
inline constexpr int kMostRows = 6;

/// Requantization in float of twice kLanes sums, 16 bits behind the point.
template <class Vector, bool kPositive>
class Quick {
 public:
  using Int = typename Vector::Int;
  using Float = typename Vector::Float;

  explicit Quick(const Requantization& how)
      : offset_(how.offset.data()),
        scale_(how.scale.data()),
        above_(how.above.data()),
        below_(how.below.data()),
        low_(Vector::bytes_of(static_cast<int8_t>(how.low))),
        high_(Vector::bytes_of(static_cast<int8_t>(how.high))) {}

  /// Of kLanes channels.
  struct Factors {
    Float scale, above, below;
  };
  Factors factors(int64_t c) const {
    const Float above = Vector::load(above_ + c);
    if constexpr (kPositive) return {Vector::load(scale_ + c), above, above};
    return {Vector::load(scale_ + c), above, Vector::load(below_ + c)};
  }

  struct Words {
    Int whole;  ///< levels in 16 bits
    Int doubt;  ///< at most 2 * kDoubt where the fraction leaves them open
  };

  /// `sums` and `more` with their offsets.
  static Words scaled(Int sums, const Factors& factors, Int more, const Factors& more_factors) {
    const Int a = fixed_point(sums, factors), b = fixed_point(more, more_factors);
    return {Vector::pack_32(Vector::upper_halves(a), Vector::upper_halves(b)), Vector::lower_halves(a, b)};
  }
  static bool in_doubt(const Words& a, const Words& b) {
    return Vector::any_at_most(Vector::smaller_16(a.doubt, b.doubt), 2 * kDoubt);
  }
  /// Levels of four times kLanes sums in the order of a's sums, a's more, b's sums, b's more.
  Int levels(const Words& a, const Words& b) const {
    return bounded(Vector::in_order(Vector::pack_16(a.whole, b.whole)));
  }
  Int bounded(Int bytes) const { return Vector::smaller_8(Vector::larger_8(bytes, low_), high_); }
  Int offset(int64_t c) const { return Vector::load(offset_ + c); }

 private:
  static Int fixed_point(Int sums, const Factors& factors) {
    const Float x = Vector::to_float(sums);
    if constexpr (kPositive) return Vector::to_int(Vector::multiply_add(x, factors.scale, factors.above));
    return Vector::to_int(Vector::multiply_add(x, factors.scale, Vector::by_sign(x, factors.above, factors.below)));
  }

  // Of their own: what is stored could change the tables, as far as the compiler knows.
  const int32_t* offset_;
  const float *scale_, *above_, *below_;
  Int low_, high_;
};

/// Integers decide on `count` numbers of channels c on, `sums` with their offsets.
template <class Vector, auto kRequantize>
[[gnu::noinline, gnu::cold]] void decide(const int32_t* sums, const Requantization& how, int64_t c, int64_t count,
                                         int8_t* to) {
  alignas(64) int32_t bare[kStrip];
  for (int64_t i = 0; i < count; ++i) {
    const auto offset = static_cast<uint32_t>(how.offset[static_cast<size_t>(c + i)]);
    bare[i] = static_cast<int32_t>(static_cast<uint32_t>(sums[i]) - offset);
  }
  kRequantize(bare, how, c, count, to);
}

template <class Vector, int kRows, int kVectors>
inline void sum_tile(const TileRows& rows, const uint8_t* weights, int64_t block_bytes,
                     typename Vector::Int (&total)[kRows][kVectors]) {
  using Int = typename Vector::Int;
  for (int64_t s = 0; s < rows.segment_count; ++s) {
    const uint8_t* x[kRows];
    for (int r = 0; r < kRows; ++r) x[r] = rows.rows[r] + rows.segments[s];
    for (int64_t g = 0; g < rows.groups; ++g, weights += Vector::kWeightBytes) {
      Int w[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) w[v] = Vector::load_weights(weights + v * block_bytes);
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) {
        const Int same = Vector::repeat_four_bytes(x[r] + 4 * g);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) total[r][v] = Vector::add_products(total[r][v], same, w[v]);
      }
    }
  }
}

template <class Vector, int kRows, int kVectors>
void tile_of_sums(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int32_t* sums) {
  typename Vector::Int total[kRows][kVectors];
  for (auto& row : total) {
    for (auto& each : row) each = Vector::zero();
  }
  sum_tile<Vector, kRows, kVectors>(rows, weights, block_bytes, total);
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) Vector::store(sums + r * kStrip + v * Vector::kLanes, total[r][v]);
  }
}

enum class Offsets { kIn, kMissing };

/// Levels of sums, row r's at sums[r * sums_stride], of kVectors registers of channels, 1 or an even number.
template <class Vector, int kVectors, bool kPositive, auto kRequantize, Offsets kOffsets>
inline void levels_of_sums(const int32_t* sums, int64_t sums_stride, int64_t rows, const Requantization& how,
                           const Quick<Vector, kPositive>& quick, int64_t first, int64_t count, int8_t* to,
                           int64_t stride) {
  using Int = typename Vector::Int;
  constexpr int kLanes = Vector::kLanes, kTogether = kVectors > 1 ? 2 : 1;
  for (int v = 0; v < kVectors; v += kTogether) {
    const int64_t c = first + v * kLanes, d = c + (kTogether - 1) * kLanes, left = count - v * kLanes;
    const auto front = quick.factors(c), back = quick.factors(d);
    [[maybe_unused]] const Int front_offset = quick.offset(c), back_offset = quick.offset(d);
    const auto scaled = [&](const int32_t* row) {
      Int x = Vector::load(row), y = Vector::load(row + (kTogether - 1) * kLanes);
      if constexpr (kOffsets == Offsets::kMissing) {
        x = Vector::add(x, front_offset);
        y = Vector::add(y, back_offset);
      }
      return quick.scaled(x, front, y, back);
    };
    const auto decide_row = [&](const int32_t* row, int8_t* place) {
      const int64_t open = left < kTogether * kLanes ? left : kTogether * kLanes;
      if constexpr (kOffsets == Offsets::kMissing) {
        kRequantize(row, how, c, open, place);
      } else {
        decide<Vector, kRequantize>(row, how, c, open, place);
      }
    };
    int8_t* at = to + v * kLanes;
#pragma GCC unroll 3
    for (int64_t r = 0; r < rows; r += 2, at += 2 * stride) {
      const int64_t next = r + 1 < rows ? r + 1 : r;
      int8_t* const at_next = at + (next - r) * stride;
      const int32_t* const one = sums + r * sums_stride + v * kLanes;
      const int32_t* const other = sums + next * sums_stride + v * kLanes;
      const auto a = scaled(one), b = scaled(other);
      const Int levels = quick.levels(a, b);
      if (kTogether == 2 && left >= 2 * kLanes) {
        Vector::store_halves(levels, at, at_next);
      } else if (kTogether == 1 && left >= kLanes) {
        Vector::store_half_of_halves(levels, at, at_next);
      } else {
        Vector::store_some_of_halves(levels, at, at_next, left);
      }
      if (quick.in_doubt(a, b)) [[unlikely]] {
        decide_row(one, at);
        if (next != r) decide_row(other, at_next);
      }
    }
  }
}

/// Sums, offsets and levels of kRows rows and kVectors registers of channels.
template <class Vector, int kRows, int kVectors, bool kPositive, auto kRequantize>
void tile_of_levels(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, const Requantization& how,
                    const Quick<Vector, kPositive>& quick, int64_t first, int64_t count, int8_t* to, int64_t stride) {
  using Int = typename Vector::Int;
  constexpr int kLanes = Vector::kLanes;
  alignas(64) int32_t sums[kRows][kVectors * kLanes];
  {
    Int total[kRows][kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Int offset = quick.offset(first + v * kLanes);
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) total[r][v] = offset;
    }
    sum_tile<Vector, kRows, kVectors>(rows, weights, block_bytes, total);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) Vector::store(sums[r] + v * kLanes, total[r][v]);
    }
  }
  // Through memory: the registers are free for the constants again.
  levels_of_sums<Vector, kVectors, kPositive, kRequantize, Offsets::kIn>(sums[0], kVectors * kLanes, kRows, how, quick,
                                                                         first, count, to, stride);
}

/// Channels of a strip, as many registers at a time as there are.
template <class Vector, bool kPositive, int kRows, auto kRequantize>
void strip_of_levels(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, const Requantization& how,
                     int64_t first, int64_t count, int8_t* to, int64_t stride) {
  constexpr int kLanes = Vector::kLanes;
  const Quick<Vector, kPositive> quick(how);
  const auto tile = [&]<int kVectors>() {
    tile_of_levels<Vector, kRows, kVectors, kPositive, kRequantize>(rows, weights, block_bytes, how, quick, first,
                                                                    count, to, stride);
    first += kVectors * kLanes;
    count -= kVectors * kLanes;
    to += kVectors * kLanes;
    weights += kVectors * block_bytes;
  };
  if constexpr (Vector::kMostVectors == 4) {
    while (count > 3 * kLanes) tile.template operator()<4>();
  }
  while (count > kLanes) tile.template operator()<2>();
  if (count > 0) tile.template operator()<1>();
}

template <class Vector, int kRows>
void strip_of_sums(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int64_t blocks, int32_t* sums) {
  int64_t block = 0;
  const auto tile = [&]<int kVectors>() {
    tile_of_sums<Vector, kRows, kVectors>(rows, weights + block * block_bytes, block_bytes,
                                          sums + block * Vector::kLanes);
    block += kVectors;
  };
  if constexpr (Vector::kMostVectors == 4) {
    while (block + 4 <= blocks) tile.template operator()<4>();
  }
  while (block + 2 <= blocks) tile.template operator()<2>();
  if (block < blocks) tile.template operator()<1>();
}

template <class Vector>
void sums_of_tile(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int64_t blocks, int32_t* sums) {
  static constexpr decltype(&strip_of_sums<Vector, 1>) kStrips[kMostRows] = {
      strip_of_sums<Vector, 1>, strip_of_sums<Vector, 2>, strip_of_sums<Vector, 3>,
      strip_of_sums<Vector, 4>, strip_of_sums<Vector, 5>, strip_of_sums<Vector, 6>};
  kStrips[rows.row_count - 1](rows, weights, block_bytes, blocks, sums);
}

template <class Vector, auto kRequantize>
void levels_of_tile(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, const Requantization& how,
                    int64_t first, int64_t count, int8_t* to, int64_t stride) {
  using Strip = decltype(&strip_of_levels<Vector, true, 1, kRequantize>);
  static constexpr Strip kStrips[2][kMostRows] = {
      {strip_of_levels<Vector, false, 1, kRequantize>, strip_of_levels<Vector, false, 2, kRequantize>,
       strip_of_levels<Vector, false, 3, kRequantize>, strip_of_levels<Vector, false, 4, kRequantize>,
       strip_of_levels<Vector, false, 5, kRequantize>, strip_of_levels<Vector, false, 6, kRequantize>},
      {strip_of_levels<Vector, true, 1, kRequantize>, strip_of_levels<Vector, true, 2, kRequantize>,
       strip_of_levels<Vector, true, 3, kRequantize>, strip_of_levels<Vector, true, 4, kRequantize>,
       strip_of_levels<Vector, true, 5, kRequantize>, strip_of_levels<Vector, true, 6, kRequantize>}};
  if (how.is_quick) {
    kStrips[how.is_positive][rows.row_count - 1](rows, weights, block_bytes, how, first, count, to, stride);
    return;
  }
  alignas(64) int32_t sums[kMostRows * kStrip];
  sums_of_tile<Vector>(rows, weights, block_bytes, (count + Vector::kLanes - 1) / Vector::kLanes, sums);
  for (int64_t r = 0; r < rows.row_count; ++r) kRequantize(sums + r * kStrip, how, first, count, to + r * stride);
}

/// kPixels pixels of a block of kLanes channels; any taps.
template <class Vector, int kPixels>
inline void sum_taps(const DepthwiseRow& row, const int8_t* const* rows, int64_t place, const int16_t* weights,
                     typename Vector::Int (&total)[kPixels]) {
  for (int64_t t = 0; t < row.pairs; ++t, weights += 2 * Vector::kLanes) {
    const DepthwiseRow::Tap &one = row.taps[2 * t], &other = row.taps[2 * t + 1];
    const int8_t* a = rows[one.row] + one.offset + place;
    const int8_t* b = rows[other.row] + other.offset + place;
    const auto w = Vector::load_bytes(reinterpret_cast<const uint8_t*>(weights));
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; ++p, a += row.step, b += row.step) {
      total[p] = Vector::add_products_16(total[p], Vector::pairs(a, b), w);
    }
  }
}

/// The same of 3x3 taps side by side: what two columns of a window share is read and widened once. Pairs are (0, 1) of
/// each column, then (2, x) and (2, x + 1), then the last tap alone.
template <class Vector, int kPixels, int kStride>
inline void sum_nine_taps(const int8_t* const* rows, int64_t channels, int64_t place, const int16_t* weights,
                          typename Vector::Int (&total)[kPixels]) {
  typename Vector::Int w[5];
#pragma GCC unroll 5
  for (int t = 0; t < 5; ++t) {
    w[t] = Vector::load_bytes(reinterpret_cast<const uint8_t*>(weights + t * 2 * Vector::kLanes));
  }
  const int8_t* top = rows[0] + place;
  const int8_t* middle = rows[1] + place;
  const int8_t* bottom = rows[2] + place;
  constexpr int kColumns = (kPixels - 1) * kStride + 3;
#pragma GCC unroll 12
  for (int x = 0; x < kColumns; ++x) {
    const int64_t at = x * channels;
    const auto above = Vector::pairs(top + at, middle + at);
#pragma GCC unroll 3
    for (int t = 0; t < 3; ++t) {
      if ((x - t) % kStride == 0 && x >= t && (x - t) / kStride < kPixels) {
        const int p = (x - t) / kStride;
        total[p] = Vector::add_products_16(total[p], above, w[t]);
      }
    }
    if (x % kStride != 0) continue;
    // As the window's first two columns, and as its last with a weight of 0 beside it.
    const auto below = Vector::pairs(bottom + at, bottom + (x + 1 < kColumns ? at + channels : at));
    const int p = x / kStride, before = (x - 2) / kStride;
    if (p < kPixels) total[p] = Vector::add_products_16(total[p], below, w[3]);
    if (x >= 2 && (x - 2) % kStride == 0 && before < kPixels) {
      total[before] = Vector::add_products_16(total[before], below, w[4]);
    }
  }
}

template <class Vector, int kPixels, int kStride, bool kPositive, auto kRequantize>
inline void depthwise_pixels(const DepthwiseRow& row, const int8_t* const* rows, int64_t pixel,
                             const Requantization& how, const Quick<Vector, kPositive>& quick, int8_t* to) {
  using Int = typename Vector::Int;
  constexpr int kLanes = Vector::kLanes;
  const int16_t* weights = row.weights;
  const int64_t channels = row.channels, weights_of_block = row.pairs * 2 * kLanes, place = pixel * row.step;
  to += pixel * channels;
  for (int64_t c = 0; c < channels; c += kLanes, weights += weights_of_block, to += kLanes) {
    Int total[kPixels];
    const Int offset = quick.offset(c);
#pragma GCC unroll 4
    for (auto& each : total) each = offset;
    if constexpr (kStride > 0) {
      sum_nine_taps<Vector, kPixels, kStride>(rows, channels, place + c, weights, total);
    } else {
      sum_taps<Vector, kPixels>(row, rows, place + c, weights, total);
    }
    constexpr int kSecond = kPixels > 1 ? 1 : 0, kThird = kPixels > 2 ? 2 : 0, kFourth = kPixels > 2 ? 3 : kSecond;
    const auto factors = quick.factors(c);
    const auto a = quick.scaled(total[0], factors, total[kSecond], factors);
    const auto b = quick.scaled(total[kThird], factors, total[kFourth], factors);
    const Int levels = quick.levels(a, b);
    const int64_t left = channels - c;
    if (kPixels == 4 && left >= kLanes) {
      Vector::store_quarters(levels, to, channels);
    } else {
      alignas(64) int8_t each[4 * kLanes];
      Vector::store_bytes(each, levels);
      for (int p = 0; p < kPixels; ++p) {
        for (int64_t i = 0; i < left && i < kLanes; ++i) to[p * channels + i] = each[p * kLanes + i];
      }
    }
    if (quick.in_doubt(a, b)) [[unlikely]] {
      alignas(64) int32_t sums[kLanes];
      for (int p = 0; p < kPixels; ++p) {
        Vector::store(sums, total[p]);
        decide<Vector, kRequantize>(sums, how, c, left < kLanes ? left : kLanes, to + p * channels);
      }
    }
  }
}

template <class Vector, int kStride, bool kPositive, auto kRequantize>
void depthwise_row(const DepthwiseRow& row, const int8_t* const* rows, const Requantization& how, int8_t* to) {
  const Quick<Vector, kPositive> quick(how);
  constexpr int64_t kPixels = 4;
  if (row.pixels < kPixels) {
    for (int64_t p = 0; p < row.pixels; ++p) {
      depthwise_pixels<Vector, 1, kStride, kPositive, kRequantize>(row, rows, p, how, quick, to);
    }
    return;
  }
  // The last pixels are computed twice where their number is no multiple.
  for (int64_t p = 0; p < row.pixels; p += kPixels) {
    const int64_t pixel = p + kPixels <= row.pixels ? p : row.pixels - kPixels;
    depthwise_pixels<Vector, kPixels, kStride, kPositive, kRequantize>(row, rows, pixel, how, quick, to);
  }
}

/// Where float arithmetic does not do: sums in memory, then all of a pixel's channels.
template <class Vector, auto kRequantize>
void depthwise_row_in_integers(const DepthwiseRow& row, const int8_t* const* rows, const Requantization& how,
                               int8_t* to) {
  alignas(64) int32_t sums[kStrip];
  for (int64_t p = 0; p < row.pixels; ++p, to += row.channels) {
    for (int64_t first = 0; first < row.channels; first += kStrip) {
      const int64_t count = row.channels - first < kStrip ? row.channels - first : kStrip;
      for (int64_t c = 0; c < count; c += Vector::kLanes) {
        typename Vector::Int total[1] = {Vector::zero()};
        sum_taps<Vector, 1>(row, rows, p * row.step + first + c, row.weights + (first + c) * row.pairs * 2, total);
        Vector::store(sums + c, total[0]);
      }
      kRequantize(sums, how, first, count, to + first);
    }
  }
}

template <class Vector, auto kRequantize>
void depthwise(const DepthwiseRow& row, const int8_t* const* rows, const Requantization& how, int8_t* to) {
  if (!how.is_quick) return depthwise_row_in_integers<Vector, kRequantize>(row, rows, how, to);
  using Row = decltype(&depthwise_row<Vector, 0, true, kRequantize>);
  static constexpr Row kRows[2][3] = {
      {depthwise_row<Vector, 0, false, kRequantize>, depthwise_row<Vector, 1, false, kRequantize>,
       depthwise_row<Vector, 2, false, kRequantize>},
      {depthwise_row<Vector, 0, true, kRequantize>, depthwise_row<Vector, 1, true, kRequantize>,
       depthwise_row<Vector, 2, true, kRequantize>}};
  kRows[how.is_positive][row.plain_stride](row, rows, how, to);
}

/// ADD and SUB in float, as Quick.
template <class Vector, auto kSlow>
void add(const SumOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
  constexpr int64_t kPart = 4 * Vector::kLanes;
  int64_t i = 0;
  if (how.is_quick) {
    const auto zero_point = Vector::words_of(static_cast<int16_t>(how.zero_point));
    const auto low = Vector::bytes_of(static_cast<int8_t>(how.bounds.low));
    const auto high = Vector::bytes_of(static_cast<int8_t>(how.bounds.high));
    const auto tolerance = Vector::words_of(kDoubt);
    const auto a_scale = Vector::repeat(how.a_scale), b_scale = Vector::repeat(how.b_scale);
    const auto offset = Vector::repeat(how.offset);
    for (; i + kPart <= count; i += kPart) {
      typename Vector::Int sums[4];
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const auto right = Vector::multiply_add(Vector::levels(y + i + v * Vector::kLanes), b_scale, offset);
        sums[v] = Vector::to_int(Vector::multiply_add(Vector::levels(x + i + v * Vector::kLanes), a_scale, right));
      }
      const auto front = Vector::pack_32(Vector::upper_halves(sums[0]), Vector::upper_halves(sums[1]));
      const auto back = Vector::pack_32(Vector::upper_halves(sums[2]), Vector::upper_halves(sums[3]));
      const auto bytes = Vector::in_order(
          Vector::pack_16(Vector::add_saturated_16(front, zero_point), Vector::add_saturated_16(back, zero_point)));
      const auto doubt = Vector::smaller_16(Vector::add_16(Vector::lower_halves(sums[0], sums[1]), tolerance),
                                            Vector::add_16(Vector::lower_halves(sums[2], sums[3]), tolerance));
      if (Vector::any_at_most(doubt, 2 * kDoubt)) [[unlikely]] {
        kSlow(how, x + i, y + i, z + i, kPart);
        continue;
      }
      Vector::store_bytes(z + i, Vector::smaller_8(Vector::larger_8(bytes, low), high));
    }
  }
  if (i < count) kSlow(how, x + i, y + i, z + i, count - i);
}

/// MUL in float, as Quick.
template <class Vector, auto kSlow>
void multiply(const ProductOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
  constexpr int64_t kPart = 4 * Vector::kLanes;
  int64_t i = 0;
  if (how.is_quick) {
    const auto low = Vector::bytes_of(static_cast<int8_t>(how.bounds.low));
    const auto high = Vector::bytes_of(static_cast<int8_t>(how.bounds.high));
    const auto one = Vector::repeat(1.0F), scale = Vector::repeat(how.scale);
    const auto above = Vector::repeat(how.above), below = Vector::repeat(how.below);
    const auto a_offset = Vector::repeat(static_cast<float>(-how.a_zero));
    const auto b_offset = Vector::repeat(static_cast<float>(-how.b_zero));
    const auto zero = Vector::repeat(0.0F);
    for (; i + kPart <= count; i += kPart) {
      typename Vector::Int products[4];
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const auto a = Vector::multiply_add(Vector::levels(x + i + v * Vector::kLanes), one, a_offset);
        const auto b = Vector::multiply_add(Vector::levels(y + i + v * Vector::kLanes), one, b_offset);
        const auto product = Vector::multiply_add(a, b, zero);
        products[v] = Vector::to_int(Vector::multiply_add(product, scale, Vector::by_sign(product, above, below)));
      }
      const auto front = Vector::pack_32(Vector::upper_halves(products[0]), Vector::upper_halves(products[1]));
      const auto back = Vector::pack_32(Vector::upper_halves(products[2]), Vector::upper_halves(products[3]));
      const auto doubt = Vector::smaller_16(Vector::lower_halves(products[0], products[1]),
                                            Vector::lower_halves(products[2], products[3]));
      if (Vector::any_at_most(doubt, 2 * kDoubt)) [[unlikely]] {
        kSlow(how, x + i, y + i, z + i, kPart);
        continue;
      }
      const auto bytes = Vector::in_order(Vector::pack_16(front, back));
      Vector::store_bytes(z + i, Vector::smaller_8(Vector::larger_8(bytes, low), high));
    }
  }
  if (i < count) kSlow(how, x + i, y + i, z + i, count - i);
}

}  // namespace octet::integer::wide
