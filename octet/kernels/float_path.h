#pragma once

#include <cstdint>

namespace octet {

/// c[r][j] = sum over k of a[r * a_row + k * a_step] * b[k * b_step + j], for `rows` rows and `columns` columns.
struct GemmTile {
  const float* a;
  int64_t a_row, a_step;
  const float* b;  ///< readable up to whole registers of columns
  int64_t b_step;
  float* c;
  int64_t c_row;
  int64_t depth;
  int rows;                     ///< at most FloatPath::rows
  int64_t columns;              ///< at most 2 * FloatPath::lanes
  const float* bias = nullptr;  ///< of `columns` numbers, added
  bool adds = false;            ///< to what c holds
};

/// What one tap of a depthwise filter reads and is multiplied by: pixel t at x + t * step, channel by channel.
struct DepthwiseTap {
  const float* x;
  const float* weight;
};
/// One tap's gradient: x as above, sums channel by channel.
struct DepthwiseGradientTap {
  const float* x;
  float* sum;
};
inline constexpr int kMostGradientTaps = 9;

/// c[r * c_row + j] = sum over lines l and t < width of a[(l * width + t) * FloatPath::rows + r] *
/// b[line_offsets[l] + t * strip + j].
struct SumTile {
  const float* a;
  const float* b;  ///< readable up to whole strips
  const int64_t* line_offsets;
  int64_t lines, width;
  float* c;
  int64_t c_row;
  int rows;           ///< at most FloatPath::rows
  int64_t columns;    ///< at most a strip
  bool adds = false;  ///< to what c holds
};

/// The inner loops of float convolutions, in the instructions of this CPU.
struct FloatPath {
  const char* name;
  int64_t lanes;  ///< floats of a register
  int rows;       ///< most rows of a GemmTile

  void (*gemm_tile)(const GemmTile& tile);
  void (*sum_tile)(const SumTile& tile);
  /// y[t * y_step + c] = bias[c] + sum over taps of x[t * x_step + c] * weight[c]; `bias` may be null.
  void (*depthwise_pixels)(const DepthwiseTap* taps, int64_t tap_count, const float* bias, int64_t x_step, float* y,
                           int64_t y_step, int64_t pixels, int64_t channels);
  /// sum[c] += sum over pixels of y[t * y_step + c] * x[t * x_step + c], for at most kMostGradientTaps taps.
  void (*depthwise_gradient)(const DepthwiseGradientTap* taps, int tap_count, int64_t x_step, const float* y,
                             int64_t y_step, int64_t pixels, int64_t channels);
  /// to[r * to_step + c] = q[r * q_step + c] - zero_point.
  void (*unpack)(const int8_t* q, int64_t q_step, int32_t zero_point, int64_t rows, int64_t columns, float* to,
                 int64_t to_step);
};

/// The best of this CPU.
const FloatPath& float_path();
/// Each by itself, for tests: null where the CPU or the compiler lacks it.
const FloatPath* portable_float_path();
const FloatPath* avx2_float_path();
const FloatPath* avx512_float_path();

}  // namespace octet
