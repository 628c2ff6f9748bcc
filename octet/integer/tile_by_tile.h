#pragma once

// PathOps::levels, for paths that know tiles; local to each source that includes it, under its instructions.

#include <cstdint>

#include "octet/integer/path.h"

namespace octet::integer {
namespace {

/// kTileLevels(rows, weights, block_bytes, how, first, count, to, stride) makes the levels of at most kRowBlock rows
/// and kStrip channels: of channel first + i to[r * stride + i].
template <auto kTileLevels, int64_t kRowBlock, int64_t kChannelBlock>
void tile_by_tile(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, const Requantization& how,
                  int64_t first, int64_t last, int8_t* to, int64_t stride) {
  for (; first < last; first += kStrip) {
    const int64_t width = last - first < kStrip ? last - first : kStrip;
    const uint8_t* strip = weights + first / kChannelBlock * block_bytes;
    for (int64_t r = 0; r < rows.row_count; r += kRowBlock) {
      const int64_t height = rows.row_count - r < kRowBlock ? rows.row_count - r : kRowBlock;
      const TileRows tile = {rows.rows + r, height, rows.segments, rows.segment_count, rows.groups};
      kTileLevels(tile, strip, block_bytes, how, first, width, to + r * stride + first, stride);
    }
  }
}

}  // namespace
}  // namespace octet::integer
