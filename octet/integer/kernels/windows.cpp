#include <cmath>

#include "octet/integer/fixed_point.h"
#include "octet/integer/kernel.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Padding;
using tflite::Tensor;
using tflite::Type;

Kernel make_pool(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_images({&input, &output});
  context.require_same_grid(input, output);
  const auto& options = context.op.options;
  const int64_t filter_h = options.filter_h, filter_w = options.filter_w;
  const int64_t stride_h = options.stride_h, stride_w = options.stride_w;
  if (filter_h < 1 || filter_w < 1 || stride_h < 1 || stride_w < 1) {
    context.fail("filter and stride", "at least 1", "0 or less");
  }
  const int64_t in_h = input.shape[1], in_w = input.shape[2], channels = input.shape[3], batches = input.shape[0];
  const int64_t out_h = output.shape[1], out_w = output.shape[2];
  if (output.shape[0] != batches || output.shape[3] != channels) {
    context.fail("samples and channels", octet::str(batches, ", ", channels),
                 octet::str(output.shape[0], ", ", output.shape[3]));
  }
  const auto before = [&](int64_t in, int64_t out, int64_t filter, int64_t stride) -> int64_t {
    const bool same = options.padding == Padding::kSame;
    const int64_t wanted = same ? (in + stride - 1) / stride : in < filter ? 0 : (in - filter) / stride + 1;
    if (out != wanted) context.fail("output size", std::to_string(wanted), std::to_string(out));
    return same ? std::max<int64_t>((out - 1) * stride + filter - in, 0) / 2 : 0;
  };
  const int64_t before_h = before(in_h, out_h, filter_h, stride_h);
  const int64_t before_w = before(in_w, out_w, filter_w, stride_w);
  const Bounds bounds = activation_bounds(context, options.activation);
  const bool average = context.op.code == OpCode::kAveragePool2d;
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<int8_t>(out);
    std::vector<int32_t> cells(static_cast<size_t>(channels));
    for (int64_t n = 0; n < batches; ++n) {
      for (int64_t oy = 0; oy < out_h; ++oy) {
        const int64_t top = std::max<int64_t>(oy * stride_h - before_h, 0);
        const int64_t bottom = std::min(oy * stride_h - before_h + filter_h, in_h);
        for (int64_t ox = 0; ox < out_w; ++ox) {
          const int64_t left = std::max<int64_t>(ox * stride_w - before_w, 0);
          const int64_t right = std::min(ox * stride_w - before_w + filter_w, in_w);
          std::fill(cells.begin(), cells.end(), average ? 0 : -128);
          for (int64_t iy = top; iy < bottom; ++iy) {
            for (int64_t ix = left; ix < right; ++ix) {
              const int8_t* from = x + ((n * in_h + iy) * in_w + ix) * channels;
              for (int64_t c = 0; c < channels; ++c) {
                int32_t& cell = cells[static_cast<size_t>(c)];
                cell = average ? cell + from[c] : std::max<int32_t>(cell, from[c]);
              }
            }
          }
          const auto count = static_cast<int32_t>((bottom - top) * (right - left));
          int8_t* to = y + ((n * out_h + oy) * out_w + ox) * channels;
          for (int64_t c = 0; c < channels; ++c) {
            int32_t cell = cells[static_cast<size_t>(c)];
            if (average && count > 0) cell = (cell > 0 ? cell + count / 2 : cell - count / 2) / count;
            to[c] = clamp_int8(cell, bounds.low, bounds.high);
          }
        }
      }
    }
  };
}

namespace {

// The places in the output that input elements go to, an input element each.
class Reduction {
 public:
  explicit Reduction(const KernelContext& context) {
    const Tensor& input = context.input(0);
    const Tensor& output = context.output();
    sizes_ = input.shape;
    std::vector<bool> reduced(sizes_.size(), false);
    for (int64_t axis : context.integers(1)) {
      const auto rank = static_cast<int64_t>(sizes_.size());
      if (axis < -rank || axis >= rank)
        context.fail("axis", octet::str("within ", rank, " dimensions"), std::to_string(axis));
      reduced[static_cast<size_t>(axis < 0 ? axis + rank : axis)] = true;
    }
    steps_.assign(sizes_.size(), 0);
    int64_t step = 1;
    for (size_t d = sizes_.size(); d-- > 0;) {
      if (reduced[d]) {
        count_ *= sizes_[d];
      } else {
        steps_[d] = step;
        step *= sizes_[d];
      }
    }
    if (output.numel() != step) {
      context.fail("elements of the output", std::to_string(step), std::to_string(output.numel()));
    }
    elements_ = input.numel();
  }

  int64_t count() const { return count_; }  // input elements of an output element

  template <typename Visit>
  void each(Visit visit) const {
    std::vector<int64_t> at(sizes_.size(), 0);
    int64_t to = 0;
    for (int64_t i = 0; i < elements_; ++i) {
      visit(i, to);
      for (size_t d = sizes_.size(); d-- > 0;) {
        to += steps_[d];
        if (++at[d] < sizes_[d]) break;
        to -= steps_[d] * sizes_[d];
        at[d] = 0;
      }
    }
  }

 private:
  std::vector<int64_t> sizes_, steps_;
  int64_t count_ = 1;
  int64_t elements_ = 0;
};

// The factor with the division by the number of elements folded in.
Multiplier divided(Multiplier factor, int64_t count) {
  int shift = 63 - __builtin_clzll(static_cast<uint64_t>(count));
  shift = std::min(shift, 32);
  shift = std::min(shift, 31 + factor.shift);
  return {static_cast<int32_t>((static_cast<int64_t>(factor.value) << shift) / count), factor.shift - shift};
}

}  // namespace

Kernel make_sum(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_type(input, Type::kInt8);
  context.require_type(output, Type::kInt8);
  const Reduction reduction(context);
  if (reduction.count() < 1) context.fail("reduced elements", "at least 1", "none");
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  const auto elements = static_cast<size_t>(output.numel());
  Multiplier factor =
      quantize_multiplier(static_cast<double>(context.scale(input)) / static_cast<double>(context.scale(output)));
  if (context.op.code == OpCode::kMean) factor = divided(factor, reduction.count());
  const auto centre = static_cast<int32_t>(context.zero_point(input) * reduction.count());
  const int32_t out_zero = context.zero_point(output);
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<int8_t>(out);
    std::vector<int32_t> sums(elements, 0);
    reduction.each([&](int64_t i, int64_t to) { sums[static_cast<size_t>(to)] += x[i]; });
    for (size_t i = 0; i < elements; ++i) y[i] = clamp_int8(multiply(sums[i] - centre, factor) + out_zero);
  };
}

Kernel make_reduced_extremum(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_type(input, Type::kInt8);
  context.require_type(output, Type::kInt8);
  context.require_same_grid(input, output);
  const Reduction reduction(context);
  const bool largest = context.op.code == OpCode::kReduceMax;
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  const auto elements = static_cast<size_t>(output.numel());
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<int8_t>(out);
    std::fill(y, y + elements, largest ? int8_t{-128} : int8_t{127});
    reduction.each([&](int64_t i, int64_t to) { y[to] = largest ? std::max(y[to], x[i]) : std::min(y[to], x[i]); });
  };
}

Kernel make_resize(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_images({&input, &output});
  context.require_same_grid(input, output);
  const int64_t in_h = input.shape[1], in_w = input.shape[2], channels = input.shape[3], batches = input.shape[0];
  const int64_t out_h = output.shape[1], out_w = output.shape[2];
  if (output.shape[0] != batches || output.shape[3] != channels || in_h < 1 || in_w < 1) {
    context.fail("samples and channels", octet::str(batches, ", ", channels),
                 octet::str(output.shape[0], ", ", output.shape[3]));
  }
  const bool aligned = context.op.options.align_corners;
  const bool half_pixels = context.op.options.half_pixel_centers;
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  if (context.op.code == OpCode::kResizeNearestNeighbor) {
    const auto nearest = [=](int64_t to, int64_t in_size, int64_t out_size) {
      const float scale = aligned && out_size > 1 ? static_cast<float>(in_size - 1) / static_cast<float>(out_size - 1)
                                                  : static_cast<float>(in_size) / static_cast<float>(out_size);
      const float offset = half_pixels ? 0.5F : 0.0F;
      const float at = (static_cast<float>(to) + offset) * scale;
      const auto from = static_cast<int64_t>(aligned ? std::round(at) : std::floor(at));
      return std::max<int64_t>(0, std::min(from, in_size - 1));
    };
    std::vector<int64_t> rows, columns;
    for (int64_t y = 0; y < out_h; ++y) rows.push_back(nearest(y, in_h, out_h));
    for (int64_t x = 0; x < out_w; ++x) columns.push_back(nearest(x, in_w, out_w));
    return [=](const Values& values) {
      const auto* x = values.at<const int8_t>(in);
      auto* y = values.at<int8_t>(out);
      for (int64_t n = 0; n < batches; ++n) {
        for (const int64_t row : rows) {
          for (const int64_t column : columns) {
            const int8_t* from = x + ((n * in_h + row) * in_w + column) * channels;
            y = std::copy(from, from + channels, y);
          }
        }
      }
    };
  }
  // Positions and weights with 10 bits behind the point.
  struct Point {
    int64_t low, high;  // neighbours
    int32_t weight;     // of the high one
  };
  const auto points = [=](int64_t in_size, int64_t out_size) {
    constexpr int64_t kOne = 1 << 10;
    const int64_t scale = aligned && out_size > 1 ? (kOne * (in_size - 1) + (out_size - 1) / 2) / (out_size - 1)
                                                  : (kOne * in_size + out_size / 2) / out_size;
    std::vector<Point> result;
    for (int64_t to = 0; to < out_size; ++to) {
      const int64_t at = half_pixels ? to * scale + scale / 2 - kOne / 2 : to * scale;
      const int64_t low = std::max<int64_t>(at / kOne, 0);
      const int64_t high = std::min((at + kOne - 1) / kOne, in_size - 1);
      result.push_back({std::min(low, in_size - 1), std::max<int64_t>(high, 0), static_cast<int32_t>(at - kOne * low)});
    }
    return result;
  };
  const std::vector<Point> rows = points(in_h, out_h);
  const std::vector<Point> columns = points(in_w, out_w);
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<int8_t>(out);
    for (int64_t n = 0; n < batches; ++n) {
      for (const Point& row : rows) {
        for (const Point& column : columns) {
          const auto at = [&](int64_t r, int64_t c) { return x + ((n * in_h + r) * in_w + c) * channels; };
          const int8_t* corners[] = {at(row.low, column.low), at(row.low, column.high), at(row.high, column.low),
                                     at(row.high, column.high)};
          const int64_t low_row = 1024 - row.weight, low_column = 1024 - column.weight;
          const int64_t weights[] = {low_row * low_column, low_row * column.weight, row.weight * low_column,
                                     static_cast<int64_t>(row.weight) * column.weight};
          for (int64_t c = 0; c < channels; ++c) {
            int64_t sum = 0;
            for (int k = 0; k < 4; ++k) sum += corners[k][c] * weights[k];
            const int64_t half = sum > 0 ? int64_t{1} << 19 : -(int64_t{1} << 19);
            *y++ = static_cast<int8_t>((sum + half) / (int64_t{1} << 20));
          }
        }
      }
    }
  };
}

}  // namespace octet::integer
