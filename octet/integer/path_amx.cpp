#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include <array>

#include "octet/integer/parts.h"
#include "octet/integer/path.h"

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,amx-tile,amx-int8"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,amx-tile,amx-int8")
#endif

#include "octet/integer/amx_panels.h"
#include "octet/integer/vnni_integers.h"
#include "octet/integer/vnni_vector.h"

namespace octet::integer {
namespace {

constexpr int64_t kLanes = Vnni::kLanes;  // channels of a tile
constexpr int64_t kTilesAtOnce = 4;       // of sums

struct alignas(64) TileConfig {
  uint8_t palette, start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

// This thread's tiles, all of one shape. What was set before returns: others may believe that theirs still is.
class Tiles {
 public:
  Tiles() {
    static constexpr TileConfig kWhole = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_storeconfig(&before_);
    _tile_loadconfig(&kWhole);
  }
  ~Tiles() { _tile_loadconfig(&before_); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

 private:
  TileConfig before_;
};

// The compiler does not know what tiles read.
inline void finish_stores() { __asm__ volatile("" ::: "memory"); }

// A product of at most four tiles.
struct Piece {
  const Panel* panels;
  int panel_count, blocks;
  int64_t channel;      ///< the first
  const int32_t* sums;  ///< [panel_count * 16, blocks * 16]
};

// What becomes of a piece's sums, a few pairs of rows at a time while the tiles multiply the next piece:
// take_rows(piece, panel, its sums, first, last) has the panel's rows from `first`, an even one, to `last`.
template <class TakeRows>
class Behind {
 public:
  explicit Behind(const TakeRows& take_rows) : take_rows_(take_rows) {}

  void begin(const Piece& piece) {
    piece_ = piece;
    panel_ = row_ = left_ = 0;
    for (int i = 0; i < piece.panel_count; ++i) left_ += (piece.panels[i].count + 1) / 2;
  }
  int64_t left() const { return left_; }
  [[gnu::noinline]] void take(int64_t count) {
    while (count > 0 && left_ > 0) {
      const Panel& panel = piece_.panels[panel_];
      const int64_t pairs_of_panel = (panel.count - row_ + 1) / 2;
      const int64_t pairs = count < pairs_of_panel ? count : pairs_of_panel;
      const int64_t last = pairs == pairs_of_panel ? panel.count : row_ + 2 * pairs;
      take_rows_(piece_, panel, piece_.sums + panel_ * kRows * piece_.blocks * kLanes, row_, last);
      count -= pairs;
      left_ -= pairs;
      row_ = last;
      if (row_ < panel.count) continue;
      row_ = 0;
      ++panel_;
    }
  }

 private:
  const TakeRows& take_rows_;
  Piece piece_ = {};
  int64_t panel_ = 0, row_ = 0, left_ = 0;
};

// sums[(p * 16 + place) * stride + b * 16 + i] = products of a place of panel p and channel i of block b.
template <int kPanels, int kBlocks, class BehindIt>
inline void multiply(const Panel* panels, const TileRows& rows, const uint8_t* weights, int64_t block_bytes,
                     int32_t* sums, BehindIt& behind) {
  constexpr int64_t kStride = kBlocks * kLanes;
  const int64_t steps = rows.groups / kGroups, all_steps = rows.segment_count * steps;
  constexpr int64_t kLeastBehind = 4;  // pairs of rows, which take as long as a step
  const int64_t evenly = (behind.left() + all_steps - 1) / all_steps;
  const int64_t behind_step = evenly < kLeastBehind ? kLeastBehind : evenly;
  _tile_zero(0);
  if constexpr (kBlocks > 1) _tile_zero(1);
  if constexpr (kPanels > 1 || kBlocks > 2) _tile_zero(2);
  if constexpr (kPanels * kBlocks > 3) _tile_zero(3);
  for (int64_t s = 0; s < rows.segment_count; ++s) {
    const uint8_t* a = panels[0].segment(rows, s);
    const uint8_t* b = panels[kPanels - 1].segment(rows, s);
    const int64_t a_stride = panels[0].stride, b_stride = panels[kPanels - 1].stride;
    const int64_t a_step = panels[0].step(), b_step = panels[kPanels - 1].step();
    for (int64_t k = 0; k < steps; ++k, a += a_step, b += b_step, weights += kTile) {
      _tile_loadd(4, a, a_stride);
      _tile_loadd(6, weights, kDepth);
      _tile_dpbusd(0, 4, 6);
      if constexpr (kPanels > 1) {
        _tile_loadd(5, b, b_stride);
        _tile_dpbusd(2, 5, 6);
      }
      if constexpr (kBlocks > 1) {
        _tile_loadd(7, weights + block_bytes, kDepth);
        _tile_dpbusd(1, 4, 7);
        if constexpr (kPanels > 1) _tile_dpbusd(3, 5, 7);
      }
      if constexpr (kBlocks > 2) {
        _tile_loadd(5, weights + 2 * block_bytes, kDepth);
        _tile_dpbusd(2, 4, 5);
        _tile_loadd(6, weights + 3 * block_bytes, kDepth);
        _tile_dpbusd(3, 4, 6);
      }
      if (behind.left() > 0) behind.take(behind_step);
    }
  }
  constexpr int64_t kRowBytes = kStride * static_cast<int64_t>(sizeof(int32_t));
  _tile_stored(0, sums, kRowBytes);
  if constexpr (kBlocks > 1) _tile_stored(1, sums + kLanes, kRowBytes);
  if constexpr (kPanels > 1) _tile_stored(2, sums + kRows * kStride, kRowBytes);
  if constexpr (kPanels > 1 && kBlocks > 1) _tile_stored(3, sums + kRows * kStride + kLanes, kRowBytes);
  if constexpr (kBlocks > 2) {
    _tile_stored(2, sums + 2 * kLanes, kRowBytes);
    _tile_stored(3, sums + 3 * kLanes, kRowBytes);
  }
}

// Sums of panels by `count` channels, at most kStrip, piece by piece: `take_rows` has all of them.
template <class TakeRows>
inline void for_pieces(const Panel* panels, int64_t panel_count, const TileRows& rows, const uint8_t* weights,
                       int64_t block_bytes, int64_t count, const TakeRows& take_rows) {
  alignas(64) int32_t sums[2][kTilesAtOnce * kRows * kLanes];
  Behind<TakeRows> behind(take_rows);
  int at = 0;
  for (int64_t p = 0; p < panel_count; p += 2) {
    const int some_panels = p + 1 < panel_count ? 2 : 1;
    Piece piece = {panels + p, some_panels, 0, 0, nullptr};
    for (; piece.channel < count; piece.channel += piece.blocks * kLanes) {
      const int64_t left = count - piece.channel;
      piece.blocks = left <= kLanes ? 1 : some_panels == 2 || left <= 3 * kLanes ? 2 : 4;
      piece.sums = sums[at];
      const auto product = [&]<int kPanels, int kBlocks>() {
        multiply<kPanels, kBlocks>(piece.panels, rows, weights + piece.channel / kLanes * block_bytes, block_bytes,
                                   sums[at], behind);
      };
      if (some_panels == 2) {
        piece.blocks == 2 ? product.template operator()<2, 2>() : product.template operator()<2, 1>();
      } else if (piece.blocks == 4) {
        product.template operator()<1, 4>();
      } else {
        piece.blocks == 2 ? product.template operator()<1, 2>() : product.template operator()<1, 1>();
      }
      behind.take(behind.left());
      behind.begin(piece);
      at = 1 - at;
    }
  }
  behind.take(behind.left());
}

// What a strip of channels of some panels becomes.
struct Strip {
  const Requantization& how;
  int64_t first, count;  ///< of the channels
  int8_t* to;            ///< of row 0 and the first of them
  int64_t stride;
};

// Of rows first to last of a panel, in kBlocks of a piece's blocks from `skipped` channels on: runs of rows that stand
// side by side.
template <int kBlocks, bool kPositive>
[[gnu::noinline]] void levels_of_rows(const Piece& piece, const Panel& panel, const int32_t* sums, int64_t first,
                                      int64_t last, const Strip& strip, const wide::Quick<Vnni, kPositive>& quick,
                                      int64_t skipped) {
  const int64_t width = piece.blocks * kLanes, channel = piece.channel + skipped;
  const auto place_of = [&](int64_t row) -> int64_t { return panel.place[static_cast<size_t>(row)]; };
  int8_t* to = strip.to + (panel.first + first) * strip.stride + channel;
  while (first < last) {
    int64_t end = last;
    while (place_of(end - 1) - place_of(first) != end - 1 - first) --end;
    wide::levels_of_sums<Vnni, kBlocks, kPositive, InIntegers::requantize, wide::Offsets::kMissing>(
        sums + place_of(first) * width + skipped, width, end - first, strip.how, quick, strip.first + channel,
        strip.count - channel, to, strip.stride);
    to += (end - first) * strip.stride;
    first = end;
  }
}

template <bool kPositive>
void quick_levels(const Panels& panels, const TileRows& rows, const uint8_t* weights, int64_t block_bytes,
                  const Strip& strip) {
  const wide::Quick<Vnni, kPositive> quick(strip.how);
  const auto take_rows = [&](const Piece& piece, const Panel& panel, const int32_t* sums, int64_t first, int64_t last) {
    if (piece.blocks == 1) return levels_of_rows<1>(piece, panel, sums, first, last, strip, quick, 0);
    levels_of_rows<2>(piece, panel, sums, first, last, strip, quick, 0);
    if (piece.blocks == 4) levels_of_rows<2>(piece, panel, sums, first, last, strip, quick, 2 * kLanes);
  };
  for_pieces(panels.each.data(), panels.count, rows, weights, block_bytes, strip.count, take_rows);
}

// take(row, first channel, how many, sums)
template <class Take>
void each_row(const Panel* panels, int64_t panel_count, const TileRows& rows, const uint8_t* weights,
              int64_t block_bytes, int64_t count, Take take) {
  const auto take_rows = [&](const Piece& piece, const Panel& panel, const int32_t* sums, int64_t first, int64_t last) {
    const int64_t width = piece.blocks * kLanes, left = count - piece.channel;
    for (int64_t r = first; r < last; ++r) {
      take(panel.first + r, piece.channel, left < width ? left : width,
           sums + panel.place[static_cast<size_t>(r)] * width);
    }
  };
  for_pieces(panels, panel_count, rows, weights, block_bytes, count, take_rows);
}

void levels_in_integers(const Panels& panels, const TileRows& rows, const uint8_t* weights, int64_t block_bytes,
                        const Strip& strip) {
  each_row(panels.each.data(), panels.count, rows, weights, block_bytes, strip.count,
           [&](int64_t row, int64_t channel, int64_t width, const int32_t* sums) {
             InIntegers::requantize(sums, strip.how, strip.first + channel, width,
                                    strip.to + row * strip.stride + channel);
           });
}

void levels(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, const Requantization& how, int64_t first,
            int64_t last, int8_t* to, int64_t stride) {
  Panels panels;
  cover(rows, panels);
  if (panels.count > 0) {
    finish_stores();
    const Tiles tiles;
    const auto strip_of_levels = !how.is_quick     ? levels_in_integers
                                 : how.is_positive ? quick_levels<true>
                                                   : quick_levels<false>;
    for (int64_t c = first; c < last; c += kStrip) {
      const int64_t width = last - c < kStrip ? last - c : kStrip;
      strip_of_levels(panels, rows, weights + c / kLanes * block_bytes, block_bytes, {how, c, width, to + c, stride});
    }
  }
  if (panels.rest == rows.row_count) return;
  const TileRows rest = {rows.rows + panels.rest, rows.row_count - panels.rest, rows.segments, rows.segment_count,
                         rows.groups};
  vnni_ops().levels(rest, weights, block_bytes, how, first, last, to + panels.rest * stride, stride);
}

void sums_of_tile(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int64_t blocks, int32_t* sums) {
  if (rows.row_count < kFewRows) return vnni_ops().tile(rows, weights, block_bytes, blocks, sums);
  uint8_t* memory = own_memory(2 * bytes_of_panel(rows), OwnMemory::kTiles);
  std::array<Panel, 2> panels;
  int64_t panel_count = 0;
  for (int64_t first = 0; first < rows.row_count; first += kRows) {
    const int64_t count = rows.row_count - first < kRows ? rows.row_count - first : kRows;
    Panel panel = where_they_stand(rows, first);
    if (panel.count < count) panel = gathered(rows, first, count, memory + panel_count * bytes_of_panel(rows));
    panels[static_cast<size_t>(panel_count++)] = panel;
  }
  finish_stores();
  const Tiles tiles;
  each_row(panels.data(), panel_count, rows, weights, block_bytes, blocks * kLanes,
           [&](int64_t row, int64_t channel, int64_t width, const int32_t* from) {
             for (int64_t i = 0; i < width; i += kLanes) {
               Vnni::store(sums + row * kStrip + channel + i, Vnni::load(from + i));
             }
           });
}

PathOps with_tiles() {
  PathOps ops = vnni_ops();
  ops.groups_at_once = kGroups;
  ops.row_block = 2 * kRows;
  ops.rows_at_a_time = kMostRowsAtATime;
  ops.tile = sums_of_tile;
  ops.levels = levels;
  return ops;
}

}  // namespace

const PathOps& amx_ops() {
  static const PathOps ops = with_tiles();
  return ops;
}

}  // namespace octet::integer

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
