// Operators on every path that this CPU has, on shapes that fill no register, against the checked kernels, which
// compute one number after the other.

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "tests/integer/paths.h"

namespace octet {
namespace {

using integer::Path;
using test::between;
using test::expect_one_answer;
using test::extreme_or_random;
using test::grid;
using test::grids;
using test::integers;
using test::levels;
using test::Program;
using tflite::OpCode;

struct Geometry {
  int64_t in, out, filter;
  int32_t stride, dilation;
};

Geometry random_axis(tflite::Padding padding) {
  Geometry axis{between(1, 13), 0, between(1, 4), static_cast<int32_t>(between(1, 3)),
                static_cast<int32_t>(between(1, 3))};
  const int64_t reach = (axis.filter - 1) * axis.dilation + 1;
  if (padding == tflite::Padding::kValid) axis.in = std::max(axis.in, reach);
  axis.out = padding == tflite::Padding::kSame ? (axis.in + axis.stride - 1) / axis.stride
                                               : (axis.in - reach) / axis.stride + 1;
  return axis;
}

TEST(Paths, ConvolutionsOfAllShapes) {
  for (int64_t round = 0; round < 250; ++round) {
    const bool depthwise = round % 2 == 0;
    const auto padding = static_cast<tflite::Padding>(between(0, 1));
    const Geometry h = random_axis(padding), w = random_axis(padding);
    const int64_t batches = between(1, 2), channels = between(1, depthwise ? 70 : 40);
    const int64_t multiplier = depthwise ? between(1, 3) : 0;
    const int64_t out_channels = depthwise ? channels * multiplier : between(1, 140);
    const at::Tensor x = extreme_or_random({batches, h.in, w.in, channels}, round);
    Program program(depthwise ? OpCode::kDepthwiseConv2d : OpCode::kConv2d);
    program.input(x, grid(0.05F, between(-128, 127)));
    const std::vector<int64_t> shape = depthwise ? std::vector<int64_t>{1, h.filter, w.filter, out_channels}
                                                 : std::vector<int64_t>{out_channels, h.filter, w.filter, channels};
    const auto quantization = round % 3 == 0 ? grid(0.01F, 0) : grids(out_channels, depthwise ? 3 : 0);
    program.constant(extreme_or_random(shape, round), quantization);
    program.constant(at::randint(-5000, 5000, {out_channels}, at::TensorOptions(at::kInt)));
    program.output({batches, h.out, w.out, out_channels}, tflite::Type::kInt8, grid(0.3F, between(-128, 127)));
    tflite::Options& options = program.options();
    options.padding = padding;
    options.activation = static_cast<tflite::Activation>(between(0, 3));
    options.stride_h = h.stride;
    options.stride_w = w.stride;
    options.dilation_h = h.dilation;
    options.dilation_w = w.dilation;
    if (depthwise) options.depth_multiplier = static_cast<int32_t>(multiplier);
    expect_one_answer(program, {x}, octet::str("round ", round));
  }
}

TEST(Paths, TransposedConvolutionsOfAllShapes) {
  for (int64_t round = 0; round < 60; ++round) {
    const int64_t in_h = between(1, 7), in_w = between(1, 7), filter_h = between(1, 4), filter_w = between(1, 4);
    const int64_t stride_h = between(1, 3), stride_w = between(1, 3), channels = between(1, 40);
    const int64_t out_channels = between(1, 40);
    const bool same = round % 2 == 0;
    const auto size = [&](int64_t in, int64_t stride, int64_t filter) {
      return same ? in * stride : (in - 1) * stride + filter + (stride > 1 ? between(0, 1) : 0);
    };
    const std::vector<int64_t> shape = {1, size(in_h, stride_h, filter_h), size(in_w, stride_w, filter_w),
                                        out_channels};
    const at::Tensor x = extreme_or_random({1, in_h, in_w, channels}, round);
    Program program(OpCode::kTransposeConv);
    program.constant(integers(
        {1, static_cast<int32_t>(shape[1]), static_cast<int32_t>(shape[2]), static_cast<int32_t>(out_channels)}));
    program.constant(extreme_or_random({out_channels, filter_h, filter_w, channels}, round), grids(out_channels, 0));
    program.input(x, grid(0.05F, between(-128, 127)));
    program.constant(at::randint(-5000, 5000, {out_channels}, at::TensorOptions(at::kInt)));
    program.output(shape, tflite::Type::kInt8, grid(0.3F, between(-128, 127)));
    program.options().padding = same ? tflite::Padding::kSame : tflite::Padding::kValid;
    program.options().stride_h = static_cast<int32_t>(stride_h);
    program.options().stride_w = static_cast<int32_t>(stride_w);
    expect_one_answer(program, {x}, octet::str("round ", round));
  }
}

TEST(Paths, MatricesOfAllShapes) {
  for (int64_t round = 0; round < 80; ++round) {
    const int64_t rows = between(1, 60), depth = between(1, 200), channels = between(1, 150);
    const at::Tensor x = extreme_or_random({rows, depth}, round);
    Program dense(OpCode::kFullyConnected);
    dense.input(x, grid(0.05F, between(-128, 127)));
    dense.constant(extreme_or_random({channels, depth}, round), grids(channels, 0));
    if (round % 4 != 0) dense.constant(at::randint(-5000, 5000, {channels}, at::TensorOptions(at::kInt)));
    dense.output({rows, channels}, tflite::Type::kInt8, grid(0.4F, between(-128, 127)));
    expect_one_answer(dense, {x}, octet::str("FULLY_CONNECTED ", round));
  }
}

// BATCH_MATMUL against its definition: its checked form shares the path.
TEST(Paths, BatchesOfMatrices) {
  for (int64_t round = 0; round < 60; ++round) {
    const int64_t batches = between(1, 3), rows = between(1, 20), depth = between(1, 80), columns = between(1, 90);
    const bool adj_x = between(0, 1) == 1, adj_y = between(0, 1) == 1;
    const int64_t a_zero = between(-128, 127), b_zero = between(-128, 127);
    const at::Tensor a = extreme_or_random({batches, rows, depth}, round);
    const at::Tensor b = extreme_or_random({batches, depth, columns}, round);
    const at::Tensor given_a = (adj_x ? a.transpose(1, 2) : a).contiguous();
    const at::Tensor given_b = (adj_y ? b.transpose(1, 2) : b).contiguous();
    Program program(OpCode::kBatchMatmul);
    program.input(given_a, grid(0.05F, a_zero));
    program.input(given_b, grid(0.04F, b_zero));
    program.output({batches, rows, columns}, tflite::Type::kInt8, grid(1.5F, 9));
    program.options().adj_x = adj_x;
    program.options().adj_y = adj_y;
    const at::Tensor sums = at::matmul((a.to(at::kDouble) - a_zero), (b.to(at::kDouble) - b_zero)).to(at::kInt);
    const auto factor = integer::quantize_multiplier(static_cast<double>(0.05F * 0.04F) / static_cast<double>(1.5F));
    at::Tensor wanted = at::empty(sums.sizes(), at::TensorOptions(at::kChar));
    for (int64_t i = 0; i < sums.numel(); ++i) {
      wanted.mutable_data_ptr<int8_t>()[i] =
          integer::clamp_int8(integer::multiply(sums.const_data_ptr<int32_t>()[i], factor) + 9);
    }
    for (const Path path : integer::available_paths()) {
      const at::Tensor got = integer::Executor(program.model(), {.path = path}).run({given_a, given_b}).at(0);
      ASSERT_TRUE(at::equal(got, wanted)) << path_name(path) << " " << round;
    }
  }
}

// Sums and products of operands that stretch, against their definition for every element.
TEST(Paths, SumsAndProductsOfTwo) {
  const std::vector<std::vector<int64_t>> shapes = {{2, 5, 7, 19}, {1, 1, 1, 19}, {2, 1, 7, 1}, {19}, {1}, {5, 1, 1}};
  for (int64_t round = 0; round < 90; ++round) {
    const bool swapped = round % 2 == 1;
    const at::Tensor whole = extreme_or_random(shapes[0], round);
    const at::Tensor other = levels(shapes[static_cast<size_t>(round) % shapes.size()]);
    const at::Tensor& a = swapped ? other : whole;
    const at::Tensor& b = swapped ? whole : other;
    const OpCode code = round % 3 == 0 ? OpCode::kAdd : round % 3 == 1 ? OpCode::kSub : OpCode::kMul;
    const auto scale = [] { return 0.001F * static_cast<float>(between(1, 200)); };
    const float a_scale = scale(), b_scale = scale(), out_scale = scale();
    const auto zero = [] { return static_cast<int32_t>(between(-128, 127)); };
    const int32_t a_zero = zero(), b_zero = zero(), out_zero = zero();
    Program program(code);
    program.input(a, grid(a_scale, a_zero));
    program.input(b, grid(b_scale, b_zero));
    program.output(shapes[0], tflite::Type::kInt8, grid(out_scale, out_zero));
    const double twice = 2.0 * std::max<double>(a_scale, b_scale);
    const auto a_factor = integer::quantize_multiplier(a_scale / twice);
    const auto b_factor = integer::quantize_multiplier(b_scale / twice);
    const auto factor = integer::quantize_multiplier(
        code == OpCode::kMul ? a_scale * b_scale / out_scale : twice / ((1 << 20) * static_cast<double>(out_scale)));
    const at::Tensor wide_a = a.expand(shapes[0]).contiguous(), wide_b = b.expand(shapes[0]).contiguous();
    at::Tensor wanted = at::empty(shapes[0], at::TensorOptions(at::kChar));
    for (int64_t i = 0; i < wanted.numel(); ++i) {
      const int32_t x = wide_a.const_data_ptr<int8_t>()[i] - a_zero, y = wide_b.const_data_ptr<int8_t>()[i] - b_zero;
      const int32_t left = integer::multiply(x << 20, a_factor), right = integer::multiply(y << 20, b_factor);
      const int32_t exact = code == OpCode::kMul ? x * y : code == OpCode::kAdd ? left + right : left - right;
      wanted.mutable_data_ptr<int8_t>()[i] = integer::clamp_int8(integer::multiply(exact, factor) + out_zero);
    }
    for (const Path path : integer::available_paths()) {
      const at::Tensor got = integer::Executor(program.model(), {.path = path}).run({a, b}).at(0);
      ASSERT_TRUE(at::equal(got, wanted)) << path_name(path) << " " << round;
    }
  }
}

TEST(Paths, ReductionsOverAnyDimensions) {
  const std::vector<int64_t> shape = {2, 3, 4, 5};
  const at::Tensor x = levels(shape);
  for (int mask = 1; mask < 16; ++mask) {
    std::vector<int32_t> axes;
    std::vector<int64_t> dims, kept;
    for (int d = 0; d < 4; ++d) {
      if ((mask >> d & 1) != 0) {
        axes.push_back(d - (mask % 2) * 4);
        dims.push_back(d);
      } else {
        kept.push_back(shape[static_cast<size_t>(d)]);
      }
    }
    const auto run = [&](OpCode code) {
      Program program(code);
      program.input(x, grid(0.5F, 3));
      program.constant(integers(axes));
      program.output(kept, tflite::Type::kInt8, grid(code == OpCode::kSum ? 64.0F : 0.5F, 3));
      return integer::Executor(program.model()).run({x}).at(0).to(at::kInt);
    };
    EXPECT_TRUE(at::equal(run(OpCode::kReduceMax), x.to(at::kInt).amax(dims))) << mask;
    EXPECT_TRUE(at::equal(run(OpCode::kReduceMin), x.to(at::kInt).amin(dims))) << mask;
    // Away from halves, which integers and doubles may round apart.
    const at::Tensor sum = (x.to(at::kDouble) - 3).sum(dims) / 128;
    const at::Tensor rounded = sum.round(), is_half = (sum - rounded).abs().gt(0.49);
    EXPECT_TRUE(
        at::equal(run(OpCode::kSum).masked_fill(is_half, 0), (rounded + 3).to(at::kInt).masked_fill(is_half, 0)))
        << mask;
  }
}

// A window that reaches far beyond a small image: its frame would be larger than any memory.
TEST(Paths, AnAbsurdDilationIsComputedAllTheSame) {
  const at::Tensor x = levels({1, 3, 3, 2});
  Program program(OpCode::kConv2d);
  program.input(x, grid(0.05F, 7));
  program.constant(levels({3, 3, 3, 2}), grid(0.01F, 0));
  program.output({1, 3, 3, 3}, tflite::Type::kInt8, grid(0.05F, 0));
  program.options().padding = tflite::Padding::kSame;
  program.options().dilation_h = program.options().dilation_w = 1 << 30;
  expect_one_answer(program, {x}, "dilation of 2^30");
}

Program convolution(OpCode code, const at::Tensor& x, const at::Tensor& weights, const Geometry& h, const Geometry& w,
                    tflite::Padding padding, tflite::Quantization of_weights, float out_scale, int64_t out_zero) {
  const bool depthwise = code == OpCode::kDepthwiseConv2d;
  const int64_t channels = weights.size(depthwise ? 3 : 0);
  Program program(code);
  program.input(x, grid(0.5F, between(-128, 127)));
  program.constant(weights, std::move(of_weights));
  program.constant(at::randint(-200, 200, {channels}, at::TensorOptions(at::kInt)));
  program.output({x.size(0), h.out, w.out, channels}, tflite::Type::kInt8, grid(out_scale, out_zero));
  tflite::Options& options = program.options();
  options.padding = padding;
  options.stride_h = h.stride;
  options.stride_w = w.stride;
  options.dilation_h = h.dilation;
  options.dilation_w = w.dilation;
  if (depthwise) options.depth_multiplier = static_cast<int32_t>(channels / x.size(3));
  return program;
}

Geometry axis(int64_t in, int64_t filter, int32_t stride, tflite::Padding padding) {
  const bool same = padding == tflite::Padding::kSame;
  return {in, same ? (in + stride - 1) / stride : (in - filter) / stride + 1, filter, stride, 1};
}

// Rows of every length, from one pixel on, and channels that fill no register; 5x5 beside the window of nine that has
// loops of its own.
TEST(Paths, DepthwiseWindowsOfEveryWidth) {
  for (int64_t width = 1; width <= 11; ++width) {
    for (const int64_t channels : {1, 7, 8, 9, 16, 17, 24, 33, 70}) {
      const auto padding = static_cast<tflite::Padding>(width < 5 ? 0 : between(0, 1));
      const auto stride = static_cast<int32_t>(between(1, 2));
      const int64_t filter = between(0, 3) == 0 ? 5 : 3;
      const Geometry h = axis(between(5, 8), filter, stride, padding), w = axis(width, filter, stride, padding);
      const at::Tensor x = extreme_or_random({between(1, 3), h.in, w.in, channels}, width);
      Program program = convolution(OpCode::kDepthwiseConv2d, x, levels({1, filter, filter, channels}, -127), h, w,
                                    padding, grids(channels, 3), 0.9F, between(-128, 127));
      program.options().activation = static_cast<tflite::Activation>(between(0, 3));
      expect_one_answer(program, {x}, octet::str("width ", width, ", channels ", channels, ", filter ", filter));
    }
  }
}

// Windows of 3x3 and 5x5 have loops of their own where a register's bytes hold whole channels or whole pixels.
TEST(Paths, SquareDepthwiseWindows) {
  for (const int64_t channels : {8, 16, 32, 48, 64, 65, 96, 100, 128, 144, 200}) {
    for (const int64_t width : {1, 2, 3, 4, 5, 8, 11}) {
      for (const int64_t filter : {3, 5}) {
        const auto stride = static_cast<int32_t>(between(1, 2));
        const auto padding = static_cast<tflite::Padding>(width < filter ? 0 : between(0, 1));
        const Geometry h = axis(between(5, 7), filter, stride, padding), w = axis(width, filter, stride, padding);
        const at::Tensor x = extreme_or_random({between(1, 2), h.in, w.in, channels}, width);
        const at::Tensor weights = extreme_or_random({1, filter, filter, channels}, width + 1).clamp_min(-127);
        // Results within the range, and bounds on either side of the zero point.
        const float out_scale = between(0, 1) == 0 ? 0.9F : 12.0F;
        Program program = convolution(OpCode::kDepthwiseConv2d, x, weights, h, w, padding, grids(channels, 3),
                                      out_scale, between(-128, 127));
        program.options().activation = static_cast<tflite::Activation>(between(0, 3));
        expect_one_answer(program, {x}, octet::str("width ", width, ", channels ", channels, ", filter ", filter));
      }
    }
  }
}

// Rows by the dozen, whose tiles begin anew at each line of the image, or go across lines where these are short; few
// rows that are left over; depths that fill no step.
TEST(Paths, WindowsOfManyRowsAndDepths) {
  for (const int64_t width : {1, 3, 7, 14, 15, 16, 17, 24, 28, 37}) {
    for (const int64_t depth : {1, 3, 16, 24, 63, 64, 65, 130}) {
      const auto padding = static_cast<tflite::Padding>(between(0, 1));
      const int64_t filter = width < 3 ? 1 : 2 * between(0, 1) + 1;
      const auto stride = static_cast<int32_t>(between(1, 2));
      const Geometry h = axis(between(3, 9), filter, stride, padding), w = axis(width, filter, stride, padding);
      const at::Tensor x = extreme_or_random({between(1, 2), h.in, w.in, depth}, width);
      const int64_t channels = between(1, 150);
      const at::Tensor weights = extreme_or_random({channels, filter, filter, depth}, depth);
      Program program = convolution(OpCode::kConv2d, x, weights, h, w, padding, grids(channels, 0),
                                    between(0, 1) == 0 ? 1.9F : 50.0F, between(-128, 127));
      program.options().activation = static_cast<tflite::Activation>(between(0, 3));
      expect_one_answer(program, {x}, octet::str("width ", width, ", depth ", depth, ", filter ", filter));
    }
  }
}

// Large windows over few channels, whose rows fill no tile: as an image's first layer has them.
TEST(Paths, LargeWindowsOverFewChannels) {
  for (const int64_t filter : {3, 5, 7}) {
    for (const int64_t depth : {1, 2, 3, 4, 8}) {
      for (const int64_t width : {1, 9, 18, 35}) {
        const auto stride = static_cast<int32_t>(between(1, 3));
        const Geometry h = axis(between(7, 12), filter, stride, tflite::Padding::kSame);
        const Geometry w = axis(width, filter, stride, tflite::Padding::kSame);
        const at::Tensor x = extreme_or_random({between(1, 2), h.in, w.in, depth}, width);
        const int64_t channels = between(1, 100);
        const Program program =
            convolution(OpCode::kConv2d, x, extreme_or_random({channels, filter, filter, depth}, depth), h, w,
                        tflite::Padding::kSame, grids(channels, 0), 4.0F, between(-128, 127));
        expect_one_answer(program, {x}, octet::str("width ", width, ", depth ", depth, ", filter ", filter));
      }
    }
  }
}

TEST(Paths, LargestOfWindowsOfAllShapes) {
  for (int64_t round = 0; round < 60; ++round) {
    const auto padding = static_cast<tflite::Padding>(between(0, 1));
    Geometry h = random_axis(padding), w = random_axis(padding);
    h = axis(h.in, std::min(h.filter, h.in), h.stride, padding);
    w = axis(w.in, std::min(w.filter, w.in), w.stride, padding);
    const int64_t batches = between(1, 2), channels = between(1, 70);
    const at::Tensor x = extreme_or_random({batches, h.in, w.in, channels}, round);
    Program pool(OpCode::kMaxPool2d);
    pool.input(x, grid(0.05F, -3));
    pool.output({batches, h.out, w.out, channels}, tflite::Type::kInt8, grid(0.05F, -3));
    pool.options().padding = padding;
    pool.options().stride_h = h.stride;
    pool.options().stride_w = w.stride;
    pool.options().filter_h = static_cast<int32_t>(h.filter);
    pool.options().filter_w = static_cast<int32_t>(w.filter);
    pool.options().activation = round % 3 == 0 ? tflite::Activation::kRelu : tflite::Activation::kNone;
    // Behind a frame of the least level, a window is never clipped.
    const auto before = [&](const Geometry& axis) {
      const int64_t lacking = (axis.out - 1) * axis.stride + axis.filter - axis.in;
      return padding == tflite::Padding::kSame ? std::max<int64_t>(lacking, 0) / 2 : 0;
    };
    const int64_t top = before(h), left = before(w), most = 16;
    const at::Tensor framed = at::full({batches, h.in + most, w.in + most, channels}, -128, x.options());
    framed.narrow(1, top, h.in).narrow(2, left, w.in).copy_(x);
    at::Tensor wanted = at::full({batches, h.out, w.out, channels}, -128, x.options());
    for (int64_t fy = 0; fy < h.filter; ++fy) {
      for (int64_t fx = 0; fx < w.filter; ++fx) {
        const at::Tensor tap = framed.slice(1, fy, fy + (h.out - 1) * h.stride + 1, h.stride)
                                   .slice(2, fx, fx + (w.out - 1) * w.stride + 1, w.stride);
        wanted = at::maximum(wanted, tap);
      }
    }
    if (round % 3 == 0) wanted = wanted.clamp_min(-3);
    for (const Path path : integer::available_paths()) {
      const at::Tensor got = integer::Executor(pool.model(), {.path = path}).run({x}).at(0);
      ASSERT_TRUE(at::equal(got, wanted)) << path_name(path) << ", round " << round;
    }
  }
}

// Factors that are powers of two: every other sum or so lies on a half, where the two roundings of the reference, and
// the sign, decide.
TEST(Paths, HalvesAreRoundedAsTheReferenceDoes) {
  for (int64_t round = 0; round < 40; ++round) {
    const bool depthwise = round % 2 == 0;
    const int64_t channels = between(1, 40), size = between(1, 12);
    const Geometry one = axis(size, 1, 1, tflite::Padding::kSame);
    const at::Tensor x = levels({2, size, size, channels});
    const at::Tensor weights = depthwise ? levels({1, 1, 1, channels}, -127) : levels({between(1, 50), 1, 1, channels});
    const float scale = std::ldexp(1.0F, -static_cast<int>(between(0, 9)));
    const Program program = convolution(depthwise ? OpCode::kDepthwiseConv2d : OpCode::kConv2d, x, weights, one, one,
                                        tflite::Padding::kSame, grid(scale, 0), 1.0F, between(-10, 10));
    expect_one_answer(program, {x}, octet::str("round ", round, ", scale ", scale));
  }
}

// Sums too large to be scaled in float, on channels beside others.
TEST(Paths, SumsBeyondSixteenBitsOnceScaled) {
  for (int64_t round = 0; round < 20; ++round) {
    const bool depthwise = round % 2 == 0;
    const Geometry axes = axis(6, 3, 1, tflite::Padding::kSame);
    const int64_t channels = between(1, 40);
    const at::Tensor x = extreme_or_random({1, 6, 6, channels}, round);
    const at::Tensor weights = depthwise ? levels({1, 3, 3, channels}, -127) : levels({20, 3, 3, channels});
    const Program program = convolution(depthwise ? OpCode::kDepthwiseConv2d : OpCode::kConv2d, x, weights, axes, axes,
                                        tflite::Padding::kSame, grid(0.9F, 0), 0.01F, 3);
    expect_one_answer(program, {x}, octet::str("round ", round));
  }
}

// Those that a path may compute four results at a time: whole registers of channels, images of odd sizes, few tiles and
// many, weights and pixels at their extremes.
TEST(Paths, WindowsOfThreeByThreeSideBySide) {
  for (int64_t round = 0; round < 60; ++round) {
    const auto padding = static_cast<tflite::Padding>(between(0, 1));
    const Geometry h = axis(between(3, 19), 3, 1, padding), w = axis(between(3, 40), 3, 1, padding);
    const int64_t channels = 16 * between(1, 5), out_channels = 16 * between(1, 6);
    const at::Tensor x = extreme_or_random({between(1, 2), h.in, w.in, channels}, round);
    const at::Tensor weights = extreme_or_random({out_channels, 3, 3, channels}, round);
    // Scaled sums within 16 bits, and beyond them.
    const float of_weights = round % 4 == 0 ? 0.9F : 0.001F;
    Program program =
        convolution(OpCode::kConv2d, x, weights, h, w, padding,
                    round % 3 == 0 ? grids(out_channels, 0) : grid(of_weights, 0), 0.7F, between(-128, 127));
    program.options().activation = static_cast<tflite::Activation>(between(0, 3));
    expect_one_answer(program, {x}, octet::str("round ", round));
  }
}

void expect_threads_agree(const Program& program, const std::vector<at::Tensor>& inputs, const std::string& what) {
  const int threads = at::get_num_threads();
  for (const Path path : integer::available_paths()) {
    const integer::Executor executor(program.model(), {.path = path});
    at::set_num_threads(1);
    const at::Tensor one = executor.run(inputs).at(0);
    for (const int several : {2, 3}) {
      at::set_num_threads(several);
      EXPECT_TRUE(at::equal(executor.run(inputs).at(0), one)) << path_name(path) << ", " << several << ", " << what;
    }
  }
  at::set_num_threads(threads);
}

TEST(Paths, ThreadsDoNotChangeBits) {
  for (const int64_t samples : {1, 3}) {
    const at::Tensor x = levels({samples, 41, 40, 33});
    const Geometry h = axis(41, 3, 2, tflite::Padding::kSame), w = axis(40, 3, 2, tflite::Padding::kSame);
    const auto convolved = [&](OpCode code, const at::Tensor& weights) {
      return convolution(code, x, weights, h, w, tflite::Padding::kSame, grid(0.001F, 0), 0.5F, 0);
    };
    expect_threads_agree(convolved(OpCode::kConv2d, levels({64, 3, 3, 33})), {x}, "CONV_2D");
    expect_threads_agree(convolved(OpCode::kDepthwiseConv2d, levels({1, 3, 3, 33})), {x}, "DEPTHWISE_CONV_2D");
    const at::Tensor whole = levels({samples, 41, 40, 32});
    const Geometry down = axis(41, 3, 1, tflite::Padding::kSame), across = axis(40, 3, 1, tflite::Padding::kSame);
    for (const int64_t channels : {32, 192}) {
      const Program wide = convolution(OpCode::kConv2d, whole, levels({channels, 3, 3, 32}), down, across,
                                       tflite::Padding::kSame, grid(0.001F, 0), 0.5F, 0);
      expect_threads_agree(wide, {whole}, "CONV_2D of 3x3");
    }
    Program pool(OpCode::kMaxPool2d);
    pool.input(whole, grid(0.05F, 7));
    pool.output({samples, 20, 20, 32}, tflite::Type::kInt8, grid(0.05F, 7));
    pool.options().stride_h = pool.options().stride_w = 2;
    pool.options().filter_h = pool.options().filter_w = 2;
    expect_threads_agree(pool, {whole}, "MAX_POOL_2D");
    // Few rows: the threads share channels.
    const at::Tensor row = levels({samples, 700});
    Program dense(OpCode::kFullyConnected);
    dense.input(row, grid(0.05F, 7));
    dense.constant(levels({1001, 700}), grids(1001, 0));
    dense.output({samples, 1001}, tflite::Type::kInt8, grid(0.5F, 0));
    expect_threads_agree(dense, {row}, "FULLY_CONNECTED");
    const at::Tensor y = levels({samples, 41, 40, 33});
    Program sum(OpCode::kAdd);
    sum.input(x, grid(0.05F, 7));
    sum.input(y, grid(0.04F, -7));
    sum.output(x.sizes().vec(), tflite::Type::kInt8, grid(0.06F, 0));
    expect_threads_agree(sum, {x, y}, "ADD");
    Program padded(OpCode::kPad);
    padded.input(x, grid(0.05F, 7));
    padded.constant(integers({0, 0, 1, 2, 3, 4, 0, 0}).reshape({4, 2}));
    padded.output({samples, 44, 47, 33}, tflite::Type::kInt8, grid(0.05F, 7));
    expect_threads_agree(padded, {x}, "PAD");
  }
}

}  // namespace
}  // namespace octet
