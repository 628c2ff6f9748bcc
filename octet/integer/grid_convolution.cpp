#include "octet/integer/grid_convolution.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "octet/integer/gemm.h"
#include "octet/integer/kernels/window.h"
#include "octet/kernels/multi_isa.h"
#include "octet/kernels/parallel.h"

namespace octet::integer {
namespace {

constexpr int64_t kFewOperations = 8192;  // products of a pixel: fewer take floats no longer than finding the levels
constexpr int64_t kGrain = 1 << 18;       // products of a thread
constexpr int64_t kMostProduct = 255 * 128;
constexpr float kWhole = 12582912.0F;  // 1.5 * 2^23: adding it rounds to a whole number
constexpr float kOff = 1e-3F;          // of a step

struct Levels {
  float scale, inverse;
  int32_t zero_point;  // of levels from -128 on
};

// The levels of `count` values, and whether all are such values.
OCTET_MULTI_ISA(find_levels, (const float* x, int64_t count, const Levels& grid, int8_t* to, bool* fits),
                (x, count, grid, to, fits), {
                  const float scale = grid.scale, inverse = grid.inverse;
                  const auto zero = static_cast<float>(grid.zero_point);
                  int32_t wrong = 0;
                  for (int64_t i = 0; i < count; ++i) {
                    // What is beyond 2^22, or no number, differs below; in this order no NaN goes on.
                    const float steps = (x[i] * inverse + kWhole) - kWhole;
                    const float level = std::min(127.0F, std::max(-128.0F, steps + zero));
                    wrong |= static_cast<int32_t>(!((level - zero) * scale == x[i]));
                    to[i] = static_cast<int8_t>(static_cast<int32_t>(level));
                  }
                  *fits = *fits && wrong == 0;
                })

OCTET_MULTI_ISA(round_multiples, (const float* x, int64_t count, float step, int8_t* to, bool* fits),
                (x, count, step, to, fits), {
                  const float inverse = 1.0F / step;
                  int32_t wrong = 0;
                  for (int64_t i = 0; i < count; ++i) {
                    const float steps = x[i] * inverse;
                    const float whole = (steps + kWhole) - kWhole;
                    wrong |= static_cast<int32_t>(!(std::abs(steps - whole) <= kOff && std::abs(whole) <= 127.0F));
                    to[i] = static_cast<int8_t>(static_cast<int32_t>(std::min(127.0F, std::max(-127.0F, whole))));
                  }
                  *fits = wrong == 0;
                })

// Sums of a pixel less `offset`, as values.
OCTET_MULTI_ISA(scale_sums,
                (const int32_t* sums, const int32_t* offset, const float* factors, const float* bias, int64_t count,
                 float* y),
                (sums, offset, factors, bias, count, y), {
                  for (int64_t i = 0; i < count; ++i) {
                    y[i] = static_cast<float>(sums[i] - offset[i]) * factors[i] + bias[i];
                  }
                })

Axis axis_of(const GridConvolution& c, size_t d) {
  return {c.in[d], c.out[d], c.filter[d], c.stride[d], c.dilation[d], c.padding[d]};
}

Window window_of(const GridConvolution& c) {
  return pixels_as_rows({axis_of(c, 0), axis_of(c, 1), c.samples, c.channels, c.out_channels});
}

class Product {
 public:
  Product(const GridConvolution& c, const ValueGrid& grid, const int8_t* weights, const float* factors,
          const float* bias, Path path)
      : window_(window_of(c)),
        levels_{grid.scale, 1.0F / grid.scale, static_cast<int32_t>(grid.zero_point - grid.least - 128)},
        products_(c.filter[0] * c.filter[1] * c.channels),
        image_(window_, path_ops(path), static_cast<int8_t>(levels_.zero_point)),
        segments_(segments_of(window_, image_)),
        packed_(path, weights, c.out_channels, static_cast<int64_t>(segments_.size()),
                products_ / static_cast<int64_t>(segments_.size())),
        factors_(factors, factors + c.out_channels),
        bias_(static_cast<size_t>(c.out_channels), 0.0F) {
    if (bias != nullptr) std::copy(bias, bias + c.out_channels, bias_.begin());
    const int32_t shift = levels_.zero_point + packed_.ops().activation_shift;
    for (const int32_t sum : packed_.sums()) offsets_.push_back(sum * shift);
  }

  bool run(const float* x, float* y) const {
    const int64_t rows = window_.batches * window_.h.out;
    std::atomic<bool> fits{true};
    // Not for_parts(): its threads wait awake, and libtorch's, which come next, would find no core.
    const int64_t of_row = window_.w.out * products_ * window_.out_channels;
    parallel_for(0, rows, std::max<int64_t>(kGrain / of_row, 1), [&](int64_t begin, int64_t end) {
      if (!run_part(x, y, begin, end)) fits = false;
    });
    return fits;
  }

 private:
  // Of one column of pixels, of pixels side by side as they lie in the frame, and of all others: where result i reads.
  struct Places {
    int64_t per_row;  // results that a row of the frame is taken for, the superfluous ones too
    int64_t row_step, step;
  };
  Places places() const {
    const int64_t row = window_.h.stride * image_.row_bytes(), pixel = window_.w.stride * image_.pixel_bytes();
    if (window_.w.out == 1) return {1, row, pixel};
    // Windows that hang over the frame's edge are computed, too, so that all lie the same distance apart.
    const int64_t framed = image_.row_bytes() / image_.pixel_bytes();
    const bool as_they_lie = window_.h.stride == 1 && window_.w.stride == 1 && framed * 3 <= window_.w.out * 4;
    return {as_they_lie ? framed : window_.w.out, row, pixel};
  }

  // Rows begin to end of all images' results.
  bool run_part(const float* x, float* y, int64_t begin, int64_t end) const {
    const auto& [h, w, batches, channels, out_channels] = window_;
    const int64_t band = image_.rows_in_band(), most = std::min({band, h.out, end - begin});
    uint8_t* framed = own_memory(((most - 1) * h.stride + h.reach()) * image_.row_bytes() + kReadAhead);
    std::vector<int8_t> line(static_cast<size_t>(w.in * channels));
    bool fits = true;
    const Places at = places();
    for (int64_t row = begin; row < end && fits;) {
      const int64_t oy = row % h.out, count = std::min({band, end - row, h.out - oy});
      const float* image = x + row / h.out * h.in * w.in * channels;
      const auto line_of = [&](int64_t iy) {
        find_levels(image + iy * w.in * channels, w.in * channels, levels_, line.data(), &fits);
        return line.data();
      };
      image_.pack_lines(line_of, oy * h.stride, (oy + count - 1) * h.stride + h.reach(), framed);
      float* to = y + row * w.out * out_channels;
      const auto result = [&](int64_t i, int64_t first, int64_t width, const int32_t* sums) {
        const int64_t ox = i % at.per_row;
        if (ox >= w.out) return;
        scale_sums(sums, offsets_.data() + first, factors_.data() + first, bias_.data() + first, width,
                   to + (i / at.per_row * w.out + ox) * out_channels + first);
      };
      const int64_t results = (count - 1) * at.per_row + w.out;
      packed_.multiply(
          0, results, [&](int64_t i) { return framed + i / at.per_row * at.row_step + i % at.per_row * at.step; },
          segments_, result);
      row += count;
    }
    return fits;
  }

  Window window_;
  Levels levels_;
  int64_t products_;
  PackedImage image_;
  std::vector<int64_t> segments_;
  PackedWeights packed_;
  std::vector<float> factors_, bias_;
  std::vector<int32_t> offsets_;
};

}  // namespace

bool is_worth_integers(const GridConvolution& c) {
  const Path path = best_path();
  if (path != Path::kVnni && path != Path::kAmx) return false;
  const int64_t products = c.filter[0] * c.filter[1] * c.channels;
  return products * c.out_channels >= kFewOperations && products <= INT32_MAX / kMostProduct &&
         window_of(c).is_reasonable();
}

bool find_multiples(const float* values, int64_t count, float step, int8_t* to) {
  bool fits = true;
  round_multiples(values, count, step, to, &fits);
  return fits;
}

bool convolve_on_grid(const GridConvolution& convolution, const float* x, const ValueGrid& grid, const int8_t* weights,
                      const float* factors, const float* bias, float* y, Path path) {
  return Product(convolution, grid, weights, factors, bias, path).run(x, y);
}

}  // namespace octet::integer
