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

#include "octet/integer/vnni_integers.h"
#include "octet/integer/vnni_vector.h"

namespace octet::integer {
namespace {

constexpr int64_t kRows = 16;              // of a tile
constexpr int64_t kLanes = Vnni::kLanes;   // channels of a tile
constexpr int64_t kDepth = 64;             // bytes of a tile's row: products that are summed at once
constexpr int64_t kTile = kRows * kDepth;  // bytes
constexpr int64_t kGroups = kDepth / 4;    // of packed weights
constexpr int64_t kFewRows = 5;            // VNNI is as fast on fewer
constexpr int64_t kTilesAtOnce = 4;        // of sums

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

// 16 rows of activations: where they stand, the same distance apart, or gathered.
struct Panel {
  int64_t first, count;  ///< of the rows; fewer than 16 only where gathered
  const uint8_t* base;
  int64_t stride;
  bool is_gathered;

  int64_t step() const { return is_gathered ? kTile : kDepth; }
  const uint8_t* segment(const TileRows& rows, int64_t s) const {
    return base + (is_gathered ? s * (rows.groups / kGroups) * kTile : rows.segments[s]);
  }
};

// Rows from `first` on, at most 16, a segment behind the other, each in tiles. A lacking row is the last one again.
Panel gathered(const TileRows& rows, int64_t first, int64_t count, uint8_t*& memory) {
  const Panel panel = {first, count, memory, kDepth, true};
  const int64_t steps = rows.groups / kGroups;
  for (int64_t r = 0; r < kRows; ++r) {
    const uint8_t* row = rows.rows[first + (r < count ? r : count - 1)];
    uint8_t* to = memory + r * kDepth;
    for (int64_t s = 0; s < rows.segment_count; ++s) {
      const uint8_t* from = row + rows.segments[s];
      for (int64_t k = 0; k < steps; ++k, to += kTile) {
        Vnni::store_bytes(reinterpret_cast<int8_t*>(to), Vnni::load_bytes(from + k * kDepth));
      }
    }
  }
  memory += rows.segment_count * steps * kTile;
  return panel;
}

// How many rows from `first` on lie the same distance apart.
int64_t run_of(const TileRows& rows, int64_t first) {
  int64_t last = first + 1;
  if (last == rows.row_count) return 1;
  const int64_t stride = rows.rows[last] - rows.rows[first];
  while (last + 1 < rows.row_count && rows.rows[last + 1] - rows.rows[last] == stride) ++last;
  return last + 1 - first;
}

Panel where_they_stand(const TileRows& rows, int64_t first) {
  return {first, kRows, rows.rows[first], rows.rows[first + 1] - rows.rows[first], false};
}

struct Panels {
  std::array<Panel, kMostRowsAtATime / 4> each;
  int64_t count = 0;
  int64_t rest = 0;  ///< the first row that is in none
  void push(const Panel& panel) { each[static_cast<size_t>(count++)] = panel; }
};

// Panels that cover all rows but the last few. Some rows are in two.
void cover(const TileRows& rows, Panels& panels) {
  constexpr int64_t kWorthTwice = 8;
  const int64_t bytes_of_panel = rows.segment_count * rows.groups / kGroups * kTile;
  const int64_t most_gathered = rows.row_count / kRows + 2;  // all rows, the last ones twice
  uint8_t* memory = nullptr;
  int64_t row = 0;
  while (rows.row_count - row >= kFewRows) {
    int64_t run = run_of(rows, row);
    if (run < kRows) {
      if (memory == nullptr) memory = own_memory(most_gathered * bytes_of_panel, OwnMemory::kTiles);
      const int64_t count = rows.row_count - row < kRows ? rows.row_count - row : kRows;
      panels.push(gathered(rows, row, count, memory));
      row += count;
      continue;
    }
    for (; run >= kRows; run -= kRows, row += kRows) panels.push(where_they_stand(rows, row));
    const int64_t least = row + run == rows.row_count ? kFewRows : kWorthTwice;
    if (run >= least) {
      panels.push(where_they_stand(rows, row + run - kRows));
      row += run;
    }
  }
  // A few rows that are left, of deep products: to read all weights once more takes longer than 16 rows in tiles.
  constexpr int64_t kDeep = 512;
  const int64_t last = rows.row_count - kRows;
  if (row < rows.row_count && last >= 0 && rows.segment_count * rows.groups * 4 >= kDeep) {
    if (run_of(rows, last) >= kRows) {
      panels.push(where_they_stand(rows, last));
    } else {
      if (memory == nullptr) memory = own_memory(bytes_of_panel, OwnMemory::kTiles);
      panels.push(gathered(rows, last, kRows, memory));
    }
    row = rows.row_count;
  }
  panels.rest = row;
}

// The compiler does not know what tiles read.
inline void finish_stores() { __asm__ volatile("" ::: "memory"); }

// sums[(p * 16 + r) * stride + b * 16 + i] = products of row r of panel p and channel i of block b.
template <int kPanels, int kBlocks>
inline void multiply(const Panel* panels, const TileRows& rows, const uint8_t* weights, int64_t block_bytes,
                     int32_t* sums, int64_t stride) {
  const int64_t steps = rows.groups / kGroups;
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
    }
  }
  const int64_t row_bytes = stride * static_cast<int64_t>(sizeof(int32_t));
  _tile_stored(0, sums, row_bytes);
  if constexpr (kBlocks > 1) _tile_stored(1, sums + kLanes, row_bytes);
  if constexpr (kPanels > 1) _tile_stored(2, sums + kRows * stride, row_bytes);
  if constexpr (kPanels > 1 && kBlocks > 1) _tile_stored(3, sums + kRows * stride + kLanes, row_bytes);
  if constexpr (kBlocks > 2) {
    _tile_stored(2, sums + 2 * kLanes, row_bytes);
    _tile_stored(3, sums + 3 * kLanes, row_bytes);
  }
}

// A product of at most four tiles.
struct Piece {
  const Panel* panels;
  int panel_count, blocks;
  int64_t channel;      ///< the first
  const int32_t* sums;  ///< [panel_count * 16, blocks * 16]
};

void multiply(const Piece& piece, const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int32_t* sums) {
  weights += piece.channel / kLanes * block_bytes;
  if (piece.panel_count == 2) {
    if (piece.blocks == 2) {
      multiply<2, 2>(piece.panels, rows, weights, block_bytes, sums, 2 * kLanes);
    } else {
      multiply<2, 1>(piece.panels, rows, weights, block_bytes, sums, kLanes);
    }
  } else if (piece.blocks == 4) {
    multiply<1, 4>(piece.panels, rows, weights, block_bytes, sums, 4 * kLanes);
  } else if (piece.blocks == 2) {
    multiply<1, 2>(piece.panels, rows, weights, block_bytes, sums, 2 * kLanes);
  } else {
    multiply<1, 1>(piece.panels, rows, weights, block_bytes, sums, kLanes);
  }
}

// Sums of panels by `count` channels, at most kStrip, piece by piece: take(piece) has them, and sees one while the
// next is under way.
template <class Take>
inline void for_pieces(const Panel* panels, int64_t panel_count, const TileRows& rows, const uint8_t* weights,
                       int64_t block_bytes, int64_t count, Take take) {
  alignas(64) int32_t sums[2][kTilesAtOnce * kRows * kLanes];
  Piece before = {};
  int at = 0;
  for (int64_t p = 0; p < panel_count; p += 2) {
    const int some_panels = p + 1 < panel_count ? 2 : 1;
    Piece piece = {panels + p, some_panels, 0, 0, nullptr};
    for (; piece.channel < count; piece.channel += piece.blocks * kLanes) {
      const int64_t left = count - piece.channel;
      piece.blocks = left <= kLanes ? 1 : some_panels == 2 || left <= 3 * kLanes ? 2 : 4;
      piece.sums = sums[at];
      multiply(piece, rows, weights, block_bytes, sums[at]);
      if (before.sums != nullptr) take(before);
      before = piece;
      at = 1 - at;
    }
  }
  take(before);
}

template <bool kPositive>
void quick_levels(const Panels& panels, const TileRows& rows, const uint8_t* weights, int64_t block_bytes,
                  const Requantization& how, int64_t first, int64_t count, int8_t* to, int64_t stride) {
  const wide::Quick<Vnni, kPositive> quick(how);
  const auto take = [&](const Piece& piece) {
    const int64_t width = piece.blocks * kLanes;
    for (int i = 0; i < piece.panel_count; ++i) {
      const Panel& panel = piece.panels[i];
      const int32_t* sums = piece.sums + i * kRows * width;
      int8_t* const place = to + panel.first * stride + piece.channel;
      const auto finish = [&]<int kBlocks>() {
        wide::levels_of_sums<Vnni, kBlocks, kPositive, InIntegers::requantize, wide::Offsets::kMissing>(
            sums, width, panel.count, how, quick, first + piece.channel, count - piece.channel, place, stride);
      };
      if (piece.blocks == 4) {
        finish.template operator()<4>();
      } else if (piece.blocks == 2) {
        finish.template operator()<2>();
      } else {
        finish.template operator()<1>();
      }
    }
  };
  for_pieces(panels.each.data(), panels.count, rows, weights, block_bytes, count, take);
}

// take(row, first channel, how many, sums)
template <class Take>
inline void for_rows(const Piece& piece, int64_t count, Take take) {
  const int64_t width = piece.blocks * kLanes, left = count - piece.channel;
  for (int64_t i = 0; i < piece.panel_count; ++i) {
    for (int64_t r = 0; r < piece.panels[i].count; ++r) {
      take(piece.panels[i].first + r, piece.channel, left < width ? left : width, piece.sums + (i * kRows + r) * width);
    }
  }
}

void levels_in_integers(const Panels& panels, const TileRows& rows, const uint8_t* weights, int64_t block_bytes,
                        const Requantization& how, int64_t first, int64_t count, int8_t* to, int64_t stride) {
  const auto take = [&](const Piece& piece) {
    for_rows(piece, count, [&](int64_t row, int64_t channel, int64_t width, const int32_t* sums) {
      InIntegers::requantize(sums, how, first + channel, width, to + row * stride + channel);
    });
  };
  for_pieces(panels.each.data(), panels.count, rows, weights, block_bytes, count, take);
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
      strip_of_levels(panels, rows, weights + c / kLanes * block_bytes, block_bytes, how, c, width, to + c, stride);
    }
  }
  if (panels.rest == rows.row_count) return;
  const TileRows rest = {rows.rows + panels.rest, rows.row_count - panels.rest, rows.segments, rows.segment_count,
                         rows.groups};
  vnni_ops().levels(rest, weights, block_bytes, how, first, last, to + panels.rest * stride, stride);
}

void sums_of_tile(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int64_t blocks, int32_t* sums) {
  if (rows.row_count < kFewRows) return vnni_ops().tile(rows, weights, block_bytes, blocks, sums);
  uint8_t* memory = own_memory(2 * rows.segment_count * rows.groups / kGroups * kTile, OwnMemory::kTiles);
  std::array<Panel, 2> panels;
  int64_t panel_count = 0;
  for (int64_t first = 0; first < rows.row_count; first += kRows) {
    const int64_t count = rows.row_count - first < kRows ? rows.row_count - first : kRows;
    panels[static_cast<size_t>(panel_count++)] =
        run_of(rows, first) >= kRows ? where_they_stand(rows, first) : gathered(rows, first, count, memory);
  }
  finish_stores();
  const Tiles tiles;
  const auto take = [&](const Piece& piece) {
    for_rows(piece, blocks * kLanes, [&](int64_t row, int64_t channel, int64_t width, const int32_t* from) {
      for (int64_t i = 0; i < width; i += kLanes) {
        Vnni::store(sums + row * kStrip + channel + i, Vnni::load(from + i));
      }
    });
  };
  for_pieces(panels.data(), panel_count, rows, weights, block_bytes, blocks * kLanes, take);
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
