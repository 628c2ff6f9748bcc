#include <cstring>

#include "octet/integer/fixed_point.h"
#include "octet/integer/path.h"
#include "octet/integer/tile_by_tile.h"

namespace octet::integer {
namespace {

constexpr int64_t kMostRows = 6;

void pack_plain(const int8_t* from, int64_t count, uint8_t* to) { std::memcpy(to, from, static_cast<size_t>(count)); }

void tile_plain(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int64_t blocks, int32_t* sums) {
  for (int64_t block = 0; block < blocks; ++block) {
    for (int64_t r = 0; r < rows.row_count; ++r) {
      const auto* w = reinterpret_cast<const int8_t*>(weights + block * block_bytes);
      uint32_t sum = 0;  // unsigned: wrapping is defined
      for (int64_t s = 0; s < rows.segment_count; ++s, w += rows.groups) {
        const auto* x = reinterpret_cast<const int8_t*>(rows.rows[r] + rows.segments[s]);
        for (int64_t i = 0; i < rows.groups; ++i) {
          sum += static_cast<uint32_t>(static_cast<int32_t>(x[i]) * static_cast<int32_t>(w[i]));
        }
      }
      sums[r * kStrip + block] = static_cast<int32_t>(sum);
    }
  }
}

void requantize_plain(const int32_t* sums, const Requantization& how, int64_t first, int64_t count, int8_t* to) {
  for (int64_t i = 0; i < count; ++i) {
    to[i] = requantized(wrapping_add(sums[i], how.offset[static_cast<size_t>(first + i)]), how, first + i);
  }
}

void tile_levels_plain(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, const Requantization& how,
                       int64_t first, int64_t count, int8_t* to, int64_t stride) {
  int32_t sums[kMostRows * kStrip];
  tile_plain(rows, weights, block_bytes, count, sums);
  for (int64_t r = 0; r < rows.row_count; ++r) {
    requantize_plain(sums + r * kStrip, how, first, count, to + r * stride);
  }
}

void depthwise_plain(const DepthwiseRow& row, const int8_t* const* rows, const Requantization& how, int8_t* to) {
  for (int64_t p = 0; p < row.pixels; ++p) {
    for (int64_t c = 0; c < row.channels; ++c, ++to) {
      uint32_t total = 0;
      const int16_t* weights = row.weights + c * row.pairs * 2;
      for (int64_t t = 0; t < 2 * row.pairs; ++t) {
        const int8_t x = rows[row.taps[t].row][row.taps[t].offset + p * row.step + c];
        total += static_cast<uint32_t>(x * weights[t]);
      }
      const auto sum = static_cast<int32_t>(total);
      requantize_plain(&sum, how, c, 1, to);
    }
  }
}

void add_plain(const SumOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
  for (int64_t i = 0; i < count; ++i) z[i] = sum_of_two(how, x[i], y[i]);
}

void multiply_plain(const ProductOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const int32_t product = (x[i] - how.a_zero) * (y[i] - how.b_zero);
    z[i] = clamp_int8(wrapping_add(multiply(product, how.factor), how.zero_point), how.bounds.low, how.bounds.high);
  }
}

void look_up_plain(const int8_t* table, const int8_t* x, int8_t* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = table[static_cast<uint8_t>(x[i])];
}

}  // namespace

int8_t requantized(int32_t sum, const Requantization& how, int64_t channel) {
  const auto c = static_cast<size_t>(channel);
  const int left = how.left[c], right = how.right[c];
  const int32_t scaled = how.rounds_once ? multiply_rounding_once(sum, {how.multiplier[c], 31 - right})
                                         : multiply(sum, {how.multiplier[c], left > 0 ? left : -right});
  return clamp_int8(wrapping_add(scaled, how.zero_point), how.low, how.high);
}

int8_t sum_of_two(const SumOfTwo& how, int32_t x, int32_t y) {
  const int32_t left = multiply((x - how.a_zero) * (1 << kFractionBits), how.a);
  const int32_t right = multiply((y - how.b_zero) * (1 << kFractionBits), how.b);
  const int32_t sum = how.subtracts ? left - right : left + right;
  return clamp_int8(wrapping_add(multiply(sum, how.out), how.zero_point), how.bounds.low, how.bounds.high);
}

const PathOps& portable_ops() {
  static const PathOps ops = {.depth_group = 1,
                              .groups_at_once = 1,
                              .channel_block = 1,
                              .row_block = kMostRows,
                              .rows_at_a_time = 48,
                              .activation_bytes = 1,
                              .weight_bytes = 1,
                              .activation_shift = 0,
                              .depthwise_block = 1,
                              .pack = pack_plain,
                              .tile = tile_plain,
                              .levels = tile_by_tile<tile_levels_plain, kMostRows, 1>,
                              .requantize = requantize_plain,
                              .depthwise = depthwise_plain,
                              .add = add_plain,
                              .look_up = look_up_plain,
                              .multiply = multiply_plain,
                              .columns_of_3 = nullptr,
                              .columns_of_5 = nullptr,
                              .winograd = nullptr};
  return ops;
}

}  // namespace octet::integer
