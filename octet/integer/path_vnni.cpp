#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include <cstring>

#include "octet/integer/path.h"

#define OCTET_VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

namespace octet::integer {
namespace {

constexpr int kChannels = 16;  // of a register
constexpr int kTileRows = 6;   // 24 registers of sums, 4 of weights, 1 of activations

// int8 + 128: the instruction takes unsigned activations.
OCTET_VNNI void pack_unsigned(const int8_t* from, int64_t count, uint8_t* to) {
  int64_t i = 0;
  const __m512i top = _mm512_set1_epi8(-128);
  for (; i + 64 <= count; i += 64) _mm512_storeu_si512(to + i, _mm512_xor_si512(_mm512_loadu_si512(from + i), top));
  for (; i < count; ++i) to[i] = static_cast<uint8_t>(from[i] + 128);
}

template <int kRows, int kVectors>
OCTET_VNNI void tile_of_bytes(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int32_t* sums) {
  __m512i total[kRows][kVectors];
  for (auto& row : total) {
    for (auto& each : row) each = _mm512_setzero_si512();
  }
  for (int64_t s = 0; s < rows.segment_count; ++s) {
    const uint8_t* x[kRows];
    for (int r = 0; r < kRows; ++r) x[r] = rows.rows[r] + rows.segments[s];
    for (int64_t g = 0; g < rows.groups; ++g, weights += 64) {
      __m512i w[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) w[v] = _mm512_loadu_si512(weights + v * block_bytes);
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) {
        int32_t four;
        std::memcpy(&four, x[r] + 4 * g, 4);
        const __m512i each = _mm512_set1_epi32(four);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) total[r][v] = _mm512_dpbusd_epi32(total[r][v], each, w[v]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(sums + r * kStrip + v * kChannels, total[r][v]);
  }
}

template <int kRows>
void strip_of_bytes(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int64_t blocks, int32_t* sums) {
  switch (blocks) {
    case 1:
      return tile_of_bytes<kRows, 1>(rows, weights, block_bytes, sums);
    case 2:
      return tile_of_bytes<kRows, 2>(rows, weights, block_bytes, sums);
    case 3:
      return tile_of_bytes<kRows, 3>(rows, weights, block_bytes, sums);
    default:
      return tile_of_bytes<kRows, 4>(rows, weights, block_bytes, sums);
  }
}

void tile_vnni(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int64_t blocks, int32_t* sums) {
  static constexpr decltype(&strip_of_bytes<1>) kStrips[kTileRows] = {
      strip_of_bytes<1>, strip_of_bytes<2>, strip_of_bytes<3>, strip_of_bytes<4>, strip_of_bytes<5>, strip_of_bytes<6>};
  kStrips[rows.row_count - 1](rows, weights, block_bytes, blocks, sums);
}

}  // namespace

const PathOps& vnni_ops() {
  static const PathOps ops = {4,
                              kChannels,
                              kTileRows,
                              1,
                              1,
                              128,
                              pack_unsigned,
                              tile_vnni,
                              avx2_ops().requantize,
                              avx2_ops().depthwise,
                              avx2_ops().add,
                              avx2_ops().multiply};
  return ops;
}

}  // namespace octet::integer

#endif
