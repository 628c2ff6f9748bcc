#pragma once

#include <cstdint>
#include <vector>

#include "octet/integer/fixed_point.h"
#include "octet/integer/line_vector.h"
#include "octet/support/api.h"

namespace octet::integer {

/// Ways to the same bits.
enum class Path {
  kPortable,  ///< plain C++
  kAvx2,      ///< 16-bit products, two a time; takes FMA too
  kAvxVnni,   ///< AVX-VNNI, 256 bits: 8-bit products, four a time; else as kAvx2
  kVnni,      ///< AVX-512 VNNI: the same in 512 bits
  kAmx,       ///< AMX: 16 x 16 sums of 64 products at once; else as kVnni
};

/// Those that this CPU has, the portable one first, the fastest last.
OCTET_API std::vector<Path> available_paths();
/// The fastest; the portable one with OCTET_REFERENCE=1 (octet::reference_path).
OCTET_API Path best_path();
OCTET_API const char* path_name(Path path);

/// Rows of a tile at most, on any path.
inline constexpr int64_t kMostRowBlock = 32;
/// Of PathOps::rows_at_a_time.
inline constexpr int64_t kMostRowsAtATime = 256;

/// Channels that are computed and requantized together; tables of channels are filled up to a multiple of it.
inline constexpr int64_t kStrip = 64;
/// From int32 sums to int8, channel by channel: offset (modulo 2^32), factor, zero point, bounds. Tables are filled up
/// to whole strips.
struct Requantization {
  LineVector<int32_t> offset;
  LineVector<int32_t> multiplier;   ///< at least 0
  LineVector<int32_t> left, right;  ///< shifts before and behind the product; with rounds_once all in `right`
  LineVector<int32_t> half;         ///< 2^(right - 1), where is_tame
  int32_t zero_point = 0, low = -128, high = 127;
  bool rounds_once = false;  ///< as integer::multiply_rounding_once, otherwise as integer::multiply
  /// Every sum with its offset is below 2^30, no factor reaches 1 and none is rounded by 2^0: fewer steps do.
  bool is_tame = false;

  /// Where every scaled sum stays below 2^15, a path may scale in float: sum * scale + (sum >= 0 ? above : below) is
  /// the level with 16 bits behind the point, cut off, and kDoubt more. Where these bits are 2 * kDoubt or less it
  /// counts as unknown, and integers decide.
  bool is_quick = false;
  /// Scaled sums below 0 end at the low bound, whatever their rounding.
  bool is_positive = false;
  LineVector<float> scale, above, below;
};
/// More than float arithmetic is ever off, in units of 2^-16, where the level is not at its bounds anyway.
inline constexpr int kDoubt = 8;

/// One number of Requantization, in integers; `sum` with its offset.
int8_t requantized(int32_t sum, const Requantization& how, int64_t channel);

/// ADD and SUB of int8: each side on a finer grid, their sum on the output's.
struct SumOfTwo {
  int32_t a_zero, b_zero, zero_point;
  Multiplier a, b, out;  ///< `a` and `b` below 1
  bool subtracts;
  Bounds bounds;
  /// As Requantization::is_quick: x * a_scale + y * b_scale + offset has 16 bits behind the point.
  bool is_quick;
  float a_scale, b_scale, offset;
};
/// One number of it, in integers.
int8_t sum_of_two(const SumOfTwo& how, int32_t x, int32_t y);
/// Bits that the sides of a sum keep behind the point.
inline constexpr int kFractionBits = 20;

/// MUL of int8.
struct ProductOfTwo {
  int32_t a_zero, b_zero, zero_point;
  Multiplier factor;
  Bounds bounds;
  /// As Requantization's.
  bool is_quick;
  float scale, above, below;
};

/// Where a tile's activations lie: row r's segment s at rows[r] + segments[s], `groups` groups of packed elements.
struct TileRows {
  const uint8_t* const* rows;
  int64_t row_count;
  const int64_t* segments;
  int64_t segment_count;
  int64_t groups;
};

/// A row of a depthwise convolution's result: pixel p and tap t meet at rows[taps[t].row] + taps[t].offset + p * step.
/// Taps come in pairs, as depthwise_taps orders them; a lone last one stands twice, with a weight of 0.
struct DepthwiseRow {
  struct Tap {
    int64_t row, offset;  ///< bytes
  };
  const Tap* taps;
  int64_t pairs;
  int64_t step;            ///< bytes from a pixel's window to the next one's
  int64_t channels;        ///< also the bytes from pixel to pixel, of rows and of the result
  int64_t pixels;          ///< of the result
  int64_t plain_stride;    ///< 1 or 2: 3x3 taps without dilation, that many pixels apart; 0: any others
  const int16_t* weights;  ///< [block of channels][pair][channel][2]
};

/// A row of the result of a depthwise convolution with a square window without dilation.
struct ColumnsRow {
  const uint8_t* tables;  ///< 64 bytes aligned
  int64_t channels, pixels, stride;
};

/// Its steps for one size of the window, where Requantization::is_quick.
struct ColumnOps {
  bool (*suits)(int64_t channels, int64_t pixels, int64_t stride);
  int64_t (*table_bytes)(int64_t channels);
  /// From weights [filter][filter][channels].
  void (*prepare)(const int8_t* weights, int64_t channels, const Requantization& how, uint8_t* to);
  /// Rows of pixels as DepthwiseRow's; nothing behind their last one is read.
  void (*row)(const ColumnsRow& row, const int8_t* const* rows, const Requantization& how, int8_t* to);
};

/// Steps of a 3x3 convolution that computes four neighbouring results together, from 4x4 pixels (kernels/winograd.h).
/// The 16 places of a tile lie `place` elements apart. Channels come in multiples of 16.
struct WinogradOps {
  /// Of a row of tiles: to[p * place + tile * channels + c] from four rows of packed pixels.
  void (*spread)(const int16_t* const* rows, int64_t tiles, int64_t channels, int16_t* to, int64_t place);
  /// As PathOps::tile, of 16-bit weights.
  void (*tile)(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int64_t blocks, int32_t* sums);
  /// Levels of a row of tiles, from four times the sums at sums[p * place + tile * kStrip + i] of channel first + i, i
  /// below `count`: two rows of `pixels` pixels, `stride` bytes apart; the lower one may lack.
  void (*gather)(const int32_t* sums, int64_t place, const Requantization& how, int64_t first, int64_t count,
                 int8_t* upper, int8_t* lower, int64_t pixels, int64_t stride);
};

/// What a path computes in its own way. Weights and activations lie as it wants them (gemm.h).
struct OCTET_API PathOps {
  int64_t depth_group;       ///< products that are summed at once
  int64_t groups_at_once;    ///< packed weights of a segment are filled up with zeros to so many groups
  int64_t channel_block;     ///< channels side by side in the packed weights
  int64_t row_block;         ///< most rows of a tile
  int64_t rows_at_a_time;    ///< of `levels`: their activations stay in the cache while all channels pass by
  int64_t activation_bytes;  ///< of a packed activation
  int64_t weight_bytes;      ///< of a packed weight
  int32_t activation_shift;  ///< what packing adds to an activation
  int64_t depthwise_block;   ///< channels of a block of depthwise weights

  void (*pack)(const int8_t* from, int64_t count, uint8_t* to);
  /// sums[r * kStrip + c] of `blocks` channel blocks, `block_bytes` apart.
  void (*tile)(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, int64_t blocks, int32_t* sums);
  /// The same of any number of rows and of channels first to last, requantized: to[r * stride + c]. `weights` are those
  /// of channel 0, `first` a multiple of kStrip.
  void (*levels)(const TileRows& rows, const uint8_t* weights, int64_t block_bytes, const Requantization& how,
                 int64_t first, int64_t last, int8_t* to, int64_t stride);
  /// to[i] of channel first + i.
  void (*requantize)(const int32_t* sums, const Requantization& how, int64_t first, int64_t count, int8_t* to);
  /// Reads whole blocks of channels.
  void (*depthwise)(const DepthwiseRow& row, const int8_t* const* rows, const Requantization& how, int8_t* to);
  void (*add)(const SumOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count);
  /// y[i] = table[x[i] as uint8_t].
  void (*look_up)(const int8_t* table, const int8_t* x, int8_t* y, int64_t count);
  void (*multiply)(const ProductOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count);
  /// For windows of 3x3 and 5x5; null where no four products of 8 bits are summed at once.
  const ColumnOps *columns_of_3, *columns_of_5;
  const WinogradOps* winograd;  ///< null where fewer products of 16 bits gain nothing
};
OCTET_API const PathOps& path_ops(Path path);

// One function a path.
OCTET_API const PathOps& portable_ops();
OCTET_API const PathOps& avx2_ops();
OCTET_API const PathOps& avx_vnni_ops();
OCTET_API const PathOps& vnni_ops();
OCTET_API const PathOps& amx_ops();

}  // namespace octet::integer
