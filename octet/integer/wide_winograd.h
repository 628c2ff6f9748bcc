#pragma once

// Loops of kernels/winograd.h, over a Vector of wide.h; included behind it, under the same rules.

#include "octet/integer/wide.h"

namespace octet::integer::wide {

/// Of a row of tiles, 4x4 pixels each and two pixels apart: B^T d B of d's 16-bit numbers. What two neighbours share,
/// two columns, is summed once.
template <class Vector>
void spread_tiles(const int16_t* const* rows, int64_t tiles, int64_t channels, int16_t* to, int64_t place) {
  using Int = typename Vector::Int;
  const auto load = [&](const int16_t* row, int64_t at) {
    return Vector::load_bytes(reinterpret_cast<const uint8_t*>(row + at));
  };
  const auto store = [&](int16_t* at, Int x) { Vector::store_bytes(reinterpret_cast<int8_t*>(at), x); };
  for (int64_t c = 0; c < channels; c += 2 * Vector::kLanes) {
    const auto column = [&](int64_t x, Int(&sums)[4]) {
      const int64_t at = x * channels + c;
      const Int a = load(rows[0], at), b = load(rows[1], at), d = load(rows[2], at), e = load(rows[3], at);
      sums[0] = Vector::less_16(a, d);
      sums[1] = Vector::add_16(b, d);
      sums[2] = Vector::less_16(d, b);
      sums[3] = Vector::less_16(b, e);
    };
    Int first[4], second[4], third[4], fourth[4];
    column(0, first);
    column(1, second);
    int16_t* at = to + c;
    for (int64_t t = 0; t < tiles; ++t, at += channels) {
      column(2 * t + 2, third);
      column(2 * t + 3, fourth);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        int16_t* const line = at + 4 * i * place;
        store(line, Vector::less_16(first[i], third[i]));
        store(line + place, Vector::add_16(second[i], third[i]));
        store(line + 2 * place, Vector::less_16(third[i], second[i]));
        store(line + 3 * place, Vector::less_16(second[i], fourth[i]));
        first[i] = third[i];
        second[i] = fourth[i];
      }
    }
  }
}

/// Four results of kLanes channels: a quarter of A^T m A, exact modulo 2^32 where the results stay below 2^29.
template <class Vector>
inline void results_of_tile(const int32_t* sums, int64_t place, typename Vector::Int (&result)[4]) {
  using Int = typename Vector::Int;
  Int upper[4], lower[4];
#pragma GCC unroll 4
  for (int x = 0; x < 4; ++x) {
    const int32_t* const at = sums + x * place;
    const Int b = Vector::load(at + 4 * place), d = Vector::load(at + 8 * place);
    upper[x] = Vector::add(Vector::add(Vector::load(at), b), d);
    lower[x] = Vector::less(Vector::less(b, d), Vector::load(at + 12 * place));
  }
  const auto both = [](const Int(&row)[4], Int& left, Int& right) {
    left = Vector::quarter(Vector::add(Vector::add(row[0], row[1]), row[2]));
    right = Vector::quarter(Vector::less(Vector::less(row[1], row[2]), row[3]));
  };
  both(upper, result[0], result[1]);
  both(lower, result[2], result[3]);
}

template <class Vector, bool kPositive, auto kRequantize>
void quick_tiles(const int32_t* sums, int64_t place, const Requantization& how, int64_t first, int64_t count,
                 int8_t* upper, int8_t* lower, int64_t pixels, int64_t stride) {
  using Int = typename Vector::Int;
  constexpr int kLanes = Vector::kLanes, kTogether = 2 * kLanes;
  const Quick<Vector, kPositive> quick(how);
  int8_t nowhere[kTogether];
  for (int64_t x = 0; x < pixels; x += 2, sums += kStrip) {
    for (int64_t i = 0; i < count; i += kTogether) {
      const int64_t c = first + i, d = c + kLanes;
      Int front[4], back[4];
      results_of_tile<Vector>(sums + i, place, front);
      results_of_tile<Vector>(sums + i + kLanes, place, back);
      const auto front_factors = quick.factors(c), back_factors = quick.factors(d);
      const Int front_offset = quick.offset(c), back_offset = quick.offset(d);
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) {
        front[p] = Vector::add(front[p], front_offset);
        back[p] = Vector::add(back[p], back_offset);
      }
#pragma GCC unroll 2
      for (int p = 0; p < 4; p += 2) {
        int8_t* const row = p == 0 ? upper : lower;
        int8_t* const left = row != nullptr ? row + x * stride + i : nowhere;
        int8_t* const right = row != nullptr && x + 1 < pixels ? left + stride : nowhere;
        const auto a = quick.scaled(front[p], front_factors, back[p], back_factors);
        const auto b = quick.scaled(front[p + 1], front_factors, back[p + 1], back_factors);
        Vector::store_halves(quick.levels(a, b), left, right);
        if (quick.in_doubt(a, b)) [[unlikely]] {
          alignas(64) int32_t open[kTogether];
          for (const int next : {0, 1}) {
            Vector::store(open, front[p + next]);
            Vector::store(open + kLanes, back[p + next]);
            decide<Vector, kRequantize>(open, how, c, kTogether, next == 0 ? left : right);
          }
        }
      }
    }
  }
}

template <class Vector, auto kRequantize>
void gather_tiles(const int32_t* sums, int64_t place, const Requantization& how, int64_t first, int64_t count,
                  int8_t* upper, int8_t* lower, int64_t pixels, int64_t stride) {
  if (how.is_quick) {
    const auto run = how.is_positive ? quick_tiles<Vector, true, kRequantize> : quick_tiles<Vector, false, kRequantize>;
    return run(sums, place, how, first, count, upper, lower, pixels, stride);
  }
  for (int64_t x = 0; x < pixels; x += 2, sums += kStrip) {
    alignas(64) int32_t results[4][kStrip];
    for (int64_t i = 0; i < count; i += Vector::kLanes) {
      typename Vector::Int four[4];
      results_of_tile<Vector>(sums + i, place, four);
      for (int p = 0; p < 4; ++p) Vector::store(results[p] + i, four[p]);
    }
    for (int p = 0; p < 4; ++p) {
      int8_t* const row = p < 2 ? upper : lower;
      if (row != nullptr && x + p % 2 < pixels) {
        kRequantize(results[p], how, first, count, row + (x + p % 2) * stride);
      }
    }
  }
}

}  // namespace octet::integer::wide
