#pragma once

// Which 16 places of activations a tile of AMX takes at once; included under path_amx.cpp's instructions, and local to
// it.

#include <array>
#include <cstdint>

#include "octet/integer/parts.h"
#include "octet/integer/path.h"
#include "octet/integer/vnni_vector.h"

namespace octet::integer {
namespace {

constexpr int64_t kRows = 16;              // of a tile
constexpr int64_t kDepth = 64;             // bytes of a tile's row: products that are summed at once
constexpr int64_t kTile = kRows * kDepth;  // bytes
constexpr int64_t kGroups = kDepth / 4;    // of packed weights
constexpr int64_t kFewRows = 5;            // VNNI is as fast on fewer

/// 16 places: where they stand, the same distance apart, or rows gathered. Not every place is a row that is asked for.
struct Panel {
  int64_t first, count;              ///< of the rows
  std::array<uint8_t, kRows> place;  ///< of each
  const uint8_t* base;
  int64_t stride;
  bool is_gathered;

  int64_t step() const { return is_gathered ? kTile : kDepth; }
  const uint8_t* segment(const TileRows& rows, int64_t s) const {
    return base + (is_gathered ? s * (rows.groups / kGroups) * kTile : rows.segments[s]);
  }
};

constexpr std::array<uint8_t, kRows> kEachPlace = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

inline int64_t bytes_of_panel(const TileRows& rows) { return rows.segment_count * rows.groups / kGroups * kTile; }

// Rows from `first` on, at most 16, a segment behind the other, each in tiles. A lacking row is the last one again.
inline Panel gathered(const TileRows& rows, int64_t first, int64_t count, uint8_t* memory) {
  const Panel panel = {first, count, kEachPlace, memory, kDepth, true};
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
  return panel;
}

// From a row to its nearer neighbour; 0 where rows do not ascend.
inline int64_t distance_at(const TileRows& rows, int64_t row) {
  const int64_t before = row > 0 ? rows.rows[row] - rows.rows[row - 1] : 0;
  const int64_t behind = row + 1 < rows.row_count ? rows.rows[row + 1] - rows.rows[row] : before;
  return row > 0 && before < behind ? before : behind;
}

// True where 16 rows stand as far apart.
inline bool is_even(const uint8_t* const* rows, int64_t stride) {
  bool even = true;
  for (int64_t i = 0; i < kRows; ++i) even &= rows[i] == rows[0] + i * stride;
  return even;
}

// As many rows from `first` on as stand at 16 places, each as far from the next as two rows are: the next line of an
// image often begins at one of them. Nothing in front of all rows or behind them is read; `count` is 0 where that
// leaves no room.
inline Panel where_they_stand(const TileRows& rows, int64_t first) {
  const int64_t last = rows.row_count - 1;
  Panel panel = {first, 0, {}, rows.rows[first], distance_at(rows, first), false};
  if (panel.stride <= 0 || rows.rows[last] < panel.base) return panel;
  const int64_t places_to_last = (rows.rows[last] - panel.base) / panel.stride;
  const int64_t before = places_to_last < kRows - 1 ? kRows - 1 - places_to_last : 0;
  if (panel.base - rows.rows[0] < before * panel.stride) return panel;
  panel.base -= before * panel.stride;
  const uint8_t* at = rows.rows[first];
  int64_t row = first;
  if (row + kRows - 1 <= last && is_even(rows.rows + first, panel.stride)) {
    panel.place = kEachPlace;
    panel.count = kRows;
    return panel;
  }
  for (int64_t place = before; place < kRows && row <= last && at <= rows.rows[row]; ++place, at += panel.stride) {
    if (at == rows.rows[row]) panel.place[static_cast<size_t>(row++ - first)] = static_cast<uint8_t>(place);
  }
  panel.count = row - first;
  return panel;
}

struct Panels {
  std::array<Panel, kMostRowsAtATime / kFewRows + 1> each;
  int64_t count = 0;
  int64_t rest = 0;  ///< the first row that is in none
  void push(const Panel& panel) {
    each[static_cast<size_t>(count++)] = panel;
    rest += panel.count;
  }
};

/// Panels of all rows but a last few.
inline void cover(const TileRows& rows, Panels& panels) {
  constexpr int64_t kMostlyRows = 10;  // places that are not asked for cost less than to gather those that are
  // A few rows that are left, of deep products: to read all weights once more takes longer than 16 rows in tiles.
  constexpr int64_t kDeep = 512;
  const bool is_deep = rows.row_count >= kRows && rows.segment_count * rows.groups * 4 >= kDeep;
  const int64_t few = is_deep ? 1 : kFewRows;
  uint8_t* memory = nullptr;
  while (rows.row_count - panels.rest >= few) {
    const int64_t left = rows.row_count - panels.rest;
    const Panel standing = where_they_stand(rows, panels.rest);
    if (standing.count >= kMostlyRows || standing.count == left) {
      panels.push(standing);
      continue;
    }
    if (memory == nullptr) memory = own_memory((left / kRows + 1) * bytes_of_panel(rows), OwnMemory::kTiles);
    panels.push(gathered(rows, panels.rest, left < kRows ? left : kRows, memory));
    memory += bytes_of_panel(rows);
  }
}

}  // namespace
}  // namespace octet::integer
