#pragma once

// What the paths share whose products take unsigned activations of 8 bits, four at a time, over a Vector of wide.h;
// included under the rules of wide.h, and local to each source that does.

#include <cstdint>

#include "octet/integer/column_taps.h"
#include "octet/integer/path.h"
#include "octet/integer/tile_by_tile.h"
#include "octet/integer/wide.h"

namespace octet::integer {
namespace {

// int8 + 128: the instruction takes unsigned activations.
template <class Vector>
void pack_unsigned(const int8_t* from, int64_t count, uint8_t* to) {
  constexpr int64_t kBytes = 4 * Vector::kLanes;
  int64_t i = 0;
  for (; i + kBytes <= count; i += kBytes) {
    const auto x = Vector::load_bytes(reinterpret_cast<const uint8_t*>(from + i));
    Vector::store_bytes(reinterpret_cast<int8_t*>(to + i), Vector::flip_signs_8(x));
  }
  for (; i < count; ++i) to[i] = static_cast<uint8_t>(from[i] + 128);
}

/// Slow: what integers decide, as vnni_integers.h has it.
template <class Vector, class Slow>
PathOps ops_of_unsigned() {
  return {.depth_group = 4,
          .groups_at_once = 1,
          .channel_block = Vector::kLanes,
          .row_block = wide::kMostRows,
          .rows_at_a_time = 48,
          .activation_bytes = 1,
          .weight_bytes = 1,
          .activation_shift = 128,
          .depthwise_block = Vector::kLanes,
          .pack = pack_unsigned<Vector>,
          .tile = wide::sums_of_tile<Vector>,
          .levels = tile_by_tile<wide::levels_of_tile<Vector, Slow::requantize>, wide::kMostRows, Vector::kLanes>,
          .requantize = Slow::requantize,
          .depthwise = wide::depthwise<Vector, Slow::requantize>,
          .add = wide::add<Vector, Slow::add>,
          .look_up = avx2_ops().look_up,
          .multiply = wide::multiply<Vector, Slow::multiply>,
          .columns_of_3 = ColumnTaps<Vector, 3>::template ops<Slow::requantize>(),
          .columns_of_5 = ColumnTaps<Vector, 5>::template ops<Slow::requantize>(),
          .winograd = nullptr};
}

}  // namespace
}  // namespace octet::integer
