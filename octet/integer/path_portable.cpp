#include <cstring>

#include "octet/integer/fixed_point.h"
#include "octet/integer/path.h"

namespace octet::integer {
namespace {

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
    const auto c = static_cast<size_t>(first + i);
    const int32_t sum = wrapping_add(sums[i], how.offset[c]);
    const int left = how.left[c], right = how.right[c];
    const int32_t scaled = how.rounds_once ? multiply_rounding_once(sum, {how.multiplier[c], 31 - right})
                                           : multiply(sum, {how.multiplier[c], left > 0 ? left : -right});
    to[i] = clamp_int8(wrapping_add(scaled, how.zero_point), how.low, how.high);
  }
}

void depthwise_plain(const int8_t* x, const int64_t* taps, int64_t pairs, const int16_t* weights, int64_t blocks,
                     int32_t* sums) {
  for (int64_t block = 0; block < blocks; ++block, x += kDepthwiseBlock, sums += kDepthwiseBlock) {
    uint32_t total[kDepthwiseBlock] = {};
    for (int64_t pair = 0; pair < pairs; ++pair, weights += 2 * kDepthwiseBlock) {
      const int8_t* a = x + taps[2 * pair];
      const int8_t* b = x + taps[2 * pair + 1];
      for (int64_t c = 0; c < kDepthwiseBlock; ++c) {
        total[c] += static_cast<uint32_t>(a[c] * weights[2 * c] + b[c] * weights[2 * c + 1]);
      }
    }
    std::memcpy(sums, total, sizeof(total));
  }
}

void add_plain(const SumOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const int32_t left = multiply((x[i] - how.a_zero) * (1 << kFractionBits), how.a);
    const int32_t right = multiply((y[i] - how.b_zero) * (1 << kFractionBits), how.b);
    const int32_t sum = how.subtracts ? left - right : left + right;
    z[i] = clamp_int8(wrapping_add(multiply(sum, how.out), how.zero_point), how.bounds.low, how.bounds.high);
  }
}

void multiply_plain(const ProductOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const int32_t product = (x[i] - how.a_zero) * (y[i] - how.b_zero);
    z[i] = clamp_int8(wrapping_add(multiply(product, how.factor), how.zero_point), how.bounds.low, how.bounds.high);
  }
}

}  // namespace

const PathOps& portable_ops() {
  static const PathOps ops = {
      1, 1, 6, 1, 1, 0, pack_plain, tile_plain, requantize_plain, depthwise_plain, add_plain, multiply_plain};
  return ops;
}

}  // namespace octet::integer
