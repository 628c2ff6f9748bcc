#pragma once

// 3x3 and 5x5 depthwise convolutions for paths that sum four products of 8 bits at once; included under the rules of
// wide.h, and local to each source that does.
//
// Of a column of a window the pixels, one above the other, are brought side by side, channel by channel, in two steps
// that work within 16 bytes each: [channel 0: top, middle, bottom, bottom] ... One product then takes the column, with
// 0 for the fourth weight; a second one takes the fifth pixel. Groups 0 to 3 of a register's channels are those at 0 to
// 3, 4 to 7 ... of each 16 bytes, and the packing of results to bytes brings them back in order.

#include <cstdint>
#include <cstring>

#include "octet/integer/path.h"
#include "octet/integer/wide.h"

namespace octet::integer {
namespace {

template <class Vector, int kTaps>
struct ColumnTaps {
  using Int = typename Vector::Int;
  using Float = typename Vector::Float;
  static constexpr int kLanes = Vector::kLanes;
  static constexpr int64_t kBlock = 4 * kLanes;  // channels
  static constexpr int kGroups = 4;
  static constexpr int kQuads = (kTaps + 3) / 4;        // of a column
  static constexpr int kPixels = Vector::kMostVectors;  // at once: their sums fill half of the registers

  // Of a block of channels, groups in their order.
  struct Tables {
    uint8_t weights[kQuads][kTaps][kGroups][4 * kLanes];
    int32_t offset[kGroups][kLanes];
    float scale[kGroups][kLanes], above[kGroups][kLanes], below[kGroups][kLanes];
  };

  static constexpr int64_t channel_of(int64_t group, int64_t lane) { return lane / 4 * 16 + 4 * group + lane % 4; }

  // The first channel of a block, the last of which begins early enough to be whole.
  static int64_t first_of(int64_t block, int64_t channels) {
    return block * kBlock + kBlock <= channels || channels < kBlock ? block * kBlock : channels - kBlock;
  }
  static int64_t blocks(int64_t channels) { return (channels + kBlock - 1) / kBlock; }
  static int64_t table_bytes(int64_t channels) { return blocks(channels) * static_cast<int64_t>(sizeof(Tables)); }

  static bool suits(int64_t channels, int64_t pixels, int64_t stride) {
    if (channels >= kBlock) return stride <= 2;
    return stride == 1 && (2 * channels == kBlock || 4 * channels == kBlock) && channels * pixels >= kBlock;
  }

  static void prepare(const int8_t* weights, int64_t channels, const Requantization& how, uint8_t* to) {
    for (int64_t block = 0; block < blocks(channels); ++block, to += sizeof(Tables)) {
      Tables tables;
      for (int64_t group = 0; group < kGroups; ++group) {
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          const int64_t c = (first_of(block, channels) + channel_of(group, lane)) % channels;
          const auto at = static_cast<size_t>(c);
          int32_t sum = 0;
          for (int64_t x = 0; x < kTaps; ++x) {
            for (int64_t y = 0; y < 4 * kQuads; ++y) {
              const int8_t weight = y < kTaps ? weights[(y * kTaps + x) * channels + c] : int8_t{0};
              tables.weights[y / 4][x][group][4 * lane + y % 4] = static_cast<uint8_t>(weight);
              sum += weight;
            }
          }
          tables.offset[group][lane] = how.offset[at] - 128 * sum;
          tables.scale[group][lane] = how.scale[at];
          tables.above[group][lane] = how.above[at];
          tables.below[group][lane] = how.below[at];
        }
      }
      std::memcpy(to, &tables, sizeof(tables));
    }
  }

  // Integers decide; channels of the tables that stand for several pixels repeat.
  template <auto kRequantize>
  [[gnu::noinline, gnu::cold]] static void decide_block(const Int* total, const Requantization& how, int64_t first,
                                                        int64_t channels, int8_t* to) {
    alignas(64) int32_t group_sums[kLanes], sums[kBlock];
    for (int64_t group = 0; group < kGroups; ++group) {
      Vector::store(group_sums, total[group]);
      for (int64_t lane = 0; lane < kLanes; ++lane) sums[channel_of(group, lane)] = group_sums[lane];
    }
    const int64_t count = channels < kBlock ? channels : kBlock;
    for (int64_t i = 0; i < kBlock; i += count) {
      wide::decide<Vector, kRequantize>(sums + i, how, first, count, to + i);
    }
  }

  static Int unsigned_bytes(const int8_t* from) {
    return Vector::flip_signs_8(Vector::load_bytes(reinterpret_cast<const uint8_t*>(from)));
  }

  // A register of bytes at kSome places, `to_step` apart, from columns `column_step` apart, the first of the next place
  // kColumns further on.
  template <int kSome, int kColumns, bool kPositive, auto kRequantize>
  static inline void pixels(const Tables& tables, const int8_t* const* rows, int64_t from, int64_t column_step,
                            const Requantization& how, const wide::Quick<Vector, kPositive>& quick, int64_t first,
                            int64_t channels, int8_t* to, int64_t to_step) {
    Int total[kSome][kGroups];
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      const Int offset = Vector::load(tables.offset[g]);
#pragma GCC unroll 4
      for (int p = 0; p < kSome; ++p) total[p][g] = offset;
    }
#pragma GCC unroll 2
    for (int q = 0; q < kQuads; ++q) {
#pragma GCC unroll 16
      for (int x = 0; x < (kSome - 1) * kColumns + kTaps; ++x) {
        Int pixel[4];  // where there is none, the one above again
#pragma GCC unroll 4
        for (int y = 0; y < 4; ++y) {
          pixel[y] = 4 * q + y < kTaps ? unsigned_bytes(rows[4 * q + y] + from + x * column_step) : pixel[y - 1];
        }
        const Int front = Vector::low_8(pixel[0], pixel[1]), front_below = Vector::low_8(pixel[2], pixel[3]);
        const Int back = Vector::high_8(pixel[0], pixel[1]), back_below = Vector::high_8(pixel[2], pixel[3]);
        const Int column[kGroups] = {Vector::low_16(front, front_below), Vector::high_16(front, front_below),
                                     Vector::low_16(back, back_below), Vector::high_16(back, back_below)};
#pragma GCC unroll 5
        for (int t = 0; t < kTaps; ++t) {
          if (x < t || (x - t) % kColumns != 0 || (x - t) / kColumns >= kSome) continue;
          const int p = (x - t) / kColumns;
#pragma GCC unroll 4
          for (int g = 0; g < kGroups; ++g) {
            total[p][g] = Vector::add_products(total[p][g], column[g], Vector::load_bytes(tables.weights[q][t][g]));
          }
        }
      }
    }
    typename wide::Quick<Vector, kPositive>::Factors factors[kGroups];
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      const Float above = Vector::load(tables.above[g]);
      factors[g] = {Vector::load(tables.scale[g]), above, kPositive ? above : Vector::load(tables.below[g])};
    }
#pragma GCC unroll 4
    for (int p = 0; p < kSome; ++p) {
      const auto front = quick.scaled(total[p][0], factors[0], total[p][1], factors[1]);
      const auto back = quick.scaled(total[p][2], factors[2], total[p][3], factors[3]);
      Vector::store_bytes(to + p * to_step, quick.bounded(Vector::pack_16(front.whole, back.whole)));
      if (quick.in_doubt(front, back)) [[unlikely]] {
        decide_block<kRequantize>(total[p], how, first, channels, to + p * to_step);
      }
    }
  }

  // All places of a block: `count` of them.
  template <int kColumns, bool kPositive, auto kRequantize>
  static void places(const Tables& tables, const int8_t* const* rows, int64_t from, int64_t column_step,
                     const Requantization& how, int64_t first, int64_t channels, int8_t* to, int64_t to_step,
                     int64_t count) {
    const wide::Quick<Vector, kPositive> quick(how);
    const auto some = [&]<int kSome>(int64_t p) {
      pixels<kSome, kColumns, kPositive, kRequantize>(tables, rows, from + p * kColumns * column_step, column_step, how,
                                                      quick, first, channels, to + p * to_step, to_step);
    };
    int64_t p = 0;
    for (; p + kPixels <= count; p += kPixels) some.template operator()<kPixels>(p);
    // The last ones are computed twice where their number is no multiple.
    if (p < count && count >= kPixels) return some.template operator()<kPixels>(count - kPixels);
    for (; p < count; ++p) some.template operator()<1>(p);
  }

  using Places = void (*)(const Tables&, const int8_t* const*, int64_t, int64_t, const Requantization&, int64_t,
                          int64_t, int8_t*, int64_t, int64_t);

  template <bool kPositive, auto kRequantize>
  static void whole_row(const ColumnsRow& row, const int8_t* const* rows, const Requantization& how, int8_t* to) {
    const auto* tables = reinterpret_cast<const Tables*>(row.tables);
    const int64_t channels = row.channels;
    if (channels < kBlock) {
      // A register holds two or four pixels; the last one begins early enough to be whole.
      const int64_t bytes = channels * row.pixels, count = bytes / kBlock;
      const Places of_places =
          2 * channels == kBlock ? places<2, kPositive, kRequantize> : places<4, kPositive, kRequantize>;
      of_places(*tables, rows, 0, channels, how, 0, channels, to, kBlock, count);
      const int64_t last = bytes - kBlock;
      if (bytes % kBlock != 0) of_places(*tables, rows, last, channels, how, 0, channels, to + last, kBlock, 1);
      return;
    }
    const Places of_places = row.stride == 1 ? places<1, kPositive, kRequantize> : places<2, kPositive, kRequantize>;
    for (int64_t block = 0; block < blocks(channels); ++block) {
      const int64_t first = first_of(block, channels);
      of_places(tables[block], rows, first, channels, how, first, channels, to + first, channels, row.pixels);
    }
  }

  template <auto kRequantize>
  static void run(const ColumnsRow& row, const int8_t* const* rows, const Requantization& how, int8_t* to) {
    (how.is_positive ? whole_row<true, kRequantize> : whole_row<false, kRequantize>)(row, rows, how, to);
  }

  template <auto kRequantize>
  static const ColumnOps* ops() {
    static const ColumnOps all = {suits, table_bytes, prepare, run<kRequantize>};
    return &all;
  }
};

}  // namespace
}  // namespace octet::integer
