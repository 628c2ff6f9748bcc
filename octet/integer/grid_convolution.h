#pragma once

#include <array>
#include <cstdint>

#include "octet/integer/path.h"
#include "octet/support/api.h"

namespace octet::integer {

/// What float values lie on: (q - zero_point) * scale of the q from `least` on, 256 at most.
struct ValueGrid {
  float scale = 1;
  int64_t zero_point = 0;
  int64_t least = -128;
};

/// A 2-D convolution, height before width; images lie in channels last.
struct GridConvolution {
  int64_t samples, channels, out_channels;
  std::array<int64_t, 2> in, out, filter, stride, padding, dilation;
};

/// True where summing in integers is the faster way on this CPU (products of 8 bits, AVX-512 or AMX), and no sum can
/// leave int32.
OCTET_API bool is_worth_integers(const GridConvolution& convolution);

/// The whole numbers of which `values` are multiples, `step` each; false where one is off by more than a thousandth of
/// a step (what float arithmetic moves a weight by on its way through a BatchNorm and back) or beyond 127.
OCTET_API bool find_multiples(const float* values, int64_t count, float step, int8_t* to);

/// y[n, oy, ox, o] = sum * factors[o] + bias[o], the sum over (q of x - zero_point) * weights[o, fy, fx, c] taken in
/// int32: what the device sums. Padding is the value 0; `bias` may be null. False, and nothing to be read in y, where a
/// value of x is not, to the bit, one of the grid.
OCTET_API bool convolve_on_grid(const GridConvolution& convolution, const float* x, const ValueGrid& grid,
                                const int8_t* weights, const float* factors, const float* bias, float* y,
                                Path path = best_path());

}  // namespace octet::integer
