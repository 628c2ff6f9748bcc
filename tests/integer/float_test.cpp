// Operators in float32, as islands of an int8 program hold them: against ATen in NCHW, or values worked out by hand.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/support/error.h"
#include "tests/integer/programs.h"
#include "tests/support/peak_memory.h"

namespace octet {
namespace {

using test::integers;
using test::Program;
using tflite::OpCode;

at::Tensor nchw(const at::Tensor& x) { return x.permute({0, 3, 1, 2}); }
at::Tensor nhwc(const at::Tensor& x) { return x.permute({0, 2, 3, 1}).contiguous(); }

// The result of one operator on these inputs; constants are those that are not float, and weights from `computed` on.
at::Tensor run(OpCode code, const std::vector<at::Tensor>& inputs, std::vector<int64_t> shape,
               const std::function<void(tflite::Options&)>& set = nullptr, size_t computed = SIZE_MAX) {
  Program program(code);
  std::vector<at::Tensor> given;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].scalar_type() == at::kFloat && i < computed) {
      program.input(inputs[i]);
      given.push_back(inputs[i]);
    } else {
      program.constant(inputs[i]);
    }
  }
  program.output(std::move(shape), tflite::Type::kFloat32);
  if (set) set(program.options());
  return integer::Executor(program.model()).run(given).at(0);
}

void expect_close(const at::Tensor& got, const at::Tensor& wanted) {
  ASSERT_EQ(got.sizes(), wanted.sizes());
  EXPECT_LT((got - wanted).abs().max().item<float>(), 1e-5F);
}

TEST(FloatIsland, FunctionsOfOneNumber) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({2, 3, 5}), positive = x.abs() + 0.1;
  const std::vector<int64_t> shape = {2, 3, 5};
  expect_close(run(OpCode::kLogistic, {x}, shape), 1 / (1 + at::exp(-x)));
  expect_close(run(OpCode::kTanh, {x}, shape), at::tanh(x));
  expect_close(run(OpCode::kExp, {x}, shape), at::exp(x));
  expect_close(run(OpCode::kLog, {positive}, shape), at::log(positive));
  expect_close(run(OpCode::kSqrt, {positive}, shape), positive.pow(0.5));
  expect_close(run(OpCode::kRsqrt, {positive}, shape), positive.pow(-0.5));
  expect_close(run(OpCode::kAbs, {x}, shape), at::maximum(x, -x));
  expect_close(run(OpCode::kNeg, {x}, shape), 0 - x);
  expect_close(run(OpCode::kHardSwish, {x * 4}, shape), x * 4 * (x * 4 + 3).clamp(0, 6) / 6);
  expect_close(run(OpCode::kRelu, {x}, shape), at::relu(x));
  expect_close(run(OpCode::kRelu6, {x * 5}, shape), (x * 5).clamp(0, 6));
  expect_close(run(OpCode::kReluN1To1, {x}, shape), x.clamp(-1, 1));
  expect_close(run(OpCode::kRelu0To1, {x}, shape), x.clamp(0, 1));
  expect_close(run(OpCode::kGelu, {x}, shape), 0.5 * x * (1 + at::erf(x / std::sqrt(2.0))));
  expect_close(run(OpCode::kGelu, {x}, shape, [](auto& o) { o.approximate = true; }),
               0.5 * x * (1 + at::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))));
  expect_close(run(OpCode::kLeakyRelu, {x}, shape, [](auto& o) { o.alpha = 0.25F; }), at::where(x > 0, x, 0.25 * x));
  expect_close(run(OpCode::kSoftmax, {x}, shape, [](auto& o) { o.beta = 2.0F; }),
               at::exp(2 * x) / at::exp(2 * x).sum(-1, true));
  expect_close(run(OpCode::kLogSoftmax, {x}, shape), x - at::log(at::exp(x).sum(-1, true)));
}

TEST(FloatIsland, FunctionsOfTwoNumbersBroadcast) {
  const at::Tensor a = at::randn({2, 3, 4}), b = at::randn({3, 1}), p = a.abs() + 0.1;
  const std::vector<int64_t> shape = {2, 3, 4};
  expect_close(run(OpCode::kAdd, {a, b}, shape), a + b);
  expect_close(run(OpCode::kSub, {a, b}, shape), a - b);
  expect_close(run(OpCode::kMul, {a, b}, shape), a * b);
  expect_close(run(OpCode::kDiv, {b, p}, shape), b / p);
  expect_close(run(OpCode::kPow, {p, b}, shape), at::exp(b * at::log(p)));
  expect_close(run(OpCode::kSquaredDifference, {a, b}, shape), (a - b) * (a - b));
  expect_close(run(OpCode::kMaximum, {a, b}, shape), at::where(a > b, a, b));
  expect_close(run(OpCode::kMinimum, {a, b}, shape), at::where(a > b, b, a));
  expect_close(run(OpCode::kPrelu, {a, b}, shape), at::where(a > 0, a, a * b));
  expect_close(run(OpCode::kAdd, {a, b}, shape, [](auto& o) { o.activation = tflite::Activation::kReluN1To1; }),
               (a + b).clamp(-1, 1));
}

TEST(FloatIsland, Reductions) {
  const at::Tensor x = at::randn({2, 3, 4, 5});
  expect_close(run(OpCode::kMean, {x, integers({1, 2})}, {2, 5}), x.mean({1, 2}));
  expect_close(run(OpCode::kSum, {x, integers({-1})}, {2, 3, 4, 1}, [](auto& o) { o.keep_dims = true; }),
               x.sum({3}, true));
  expect_close(run(OpCode::kReduceMax, {x, integers({0})}, {3, 4, 5}), x.amax({0}));
  expect_close(run(OpCode::kReduceMin, {x, integers({1, 3})}, {2, 4}), x.amin({1, 3}));
}

TEST(FloatIsland, Products) {
  const at::Tensor x = at::randn({2, 3, 8}), w = at::randn({5, 8}), bias = at::randn({5});
  expect_close(run(OpCode::kFullyConnected, {x, w, bias}, {2, 3, 5}, nullptr, 1), at::linear(x, w, bias));
  const at::Tensor y = at::randn({2, 4, 8});
  expect_close(run(OpCode::kBatchMatmul, {x, y}, {2, 3, 4}, [](auto& o) { o.adj_y = true; }),
               at::matmul(x, y.transpose(1, 2)));
}

void set_window(tflite::Options& o, int stride, tflite::Padding padding) {
  o.stride_h = o.stride_w = stride;
  o.padding = padding;
}

// Element by element along the depth, as TFLite's reference kernels do: equal, not near.
TEST(FloatIsland, ProductsSumInOrder) {
  at::manual_seed(2);
  const at::Tensor x = at::randn({2, 7, 150}) * 100, y = at::randn({2, 150, 9}), one = y[0].t().contiguous();
  at::Tensor batched = at::zeros({2, 7, 9}), single = at::zeros({14, 9});
  for (int64_t k = 0; k < 150; ++k) {
    batched += x.narrow(2, k, 1) * y.narrow(1, k, 1);
    single += x.reshape({14, 150}).narrow(1, k, 1) * y[0].narrow(0, k, 1);
  }
  EXPECT_TRUE(at::equal(run(OpCode::kBatchMatmul, {x, y}, {2, 7, 9}), batched));
  EXPECT_TRUE(at::equal(run(OpCode::kFullyConnected, {x.reshape({14, 150}), one}, {14, 9}), single));
}

TEST(FloatIsland, Convolutions) {
  const at::Tensor x = at::randn({2, 7, 8, 6}), bias = at::randn({4});
  const at::Tensor w = at::randn({4, 3, 3, 6});
  // SAME at stride 2: one pixel before and behind an odd size, one behind an even one.
  const at::Tensor padded = at::constant_pad_nd(nchw(x), {0, 1, 1, 1});
  const auto same = [](auto& o) { set_window(o, 2, tflite::Padding::kSame); };
  expect_close(run(OpCode::kConv2d, {x, w, bias}, {2, 4, 4, 4}, same, 1), nhwc(at::conv2d(padded, nchw(w), bias, 2)));
  const auto dilated = [](auto& o) {
    set_window(o, 1, tflite::Padding::kValid);
    o.dilation_h = 2;
    o.activation = tflite::Activation::kRelu;
  };
  expect_close(run(OpCode::kConv2d, {x, w, bias}, {2, 3, 6, 4}, dilated, 1),
               nhwc(at::conv2d(nchw(x), nchw(w), bias, 1, at::IntArrayRef{0, 0}, at::IntArrayRef{2, 1}).relu()));
  const at::Tensor grouped = at::randn({4, 3, 3, 3});
  expect_close(run(
                   OpCode::kConv2d, {x, grouped, bias}, {2, 5, 6, 4},
                   [](auto& o) { set_window(o, 1, tflite::Padding::kValid); }, 1),
               nhwc(at::conv2d(nchw(x), nchw(grouped), bias, 1, at::IntArrayRef{0, 0}, at::IntArrayRef{1, 1}, 2)));
  const at::Tensor depthwise = at::randn({1, 3, 3, 12});
  const auto twice = [&](auto& o) {
    same(o);
    o.depth_multiplier = 2;
  };
  expect_close(run(OpCode::kDepthwiseConv2d, {x, depthwise}, {2, 4, 4, 12}, twice, 1),
               nhwc(at::conv2d(padded, depthwise.permute({3, 0, 1, 2}), {}, at::IntArrayRef{2, 2},
                               at::IntArrayRef{0, 0}, at::IntArrayRef{1, 1}, 6)));
}

// A filter of half the image's size: its windows, written out, would take 69 MB.
TEST(FloatIsland, ConvolutionsTakeNoMemoryForTheirWindows) {
  const at::Tensor x = at::randn({1, 128, 128, 1}) / 64, w = at::randn({1, 64, 64, 1});
  at::Tensor got;
  const uint64_t peak = test::peak_memory_of([&] {
    got = run(
        OpCode::kConv2d, {x, w}, {1, 65, 65, 1}, [](auto& o) { set_window(o, 1, tflite::Padding::kValid); }, 1);
  });
  EXPECT_LT(peak, 16U << 20);
  EXPECT_LT((got - nhwc(at::conv2d(nchw(x), nchw(w)))).abs().max().item<float>(), 1e-3F);
}

TEST(FloatIsland, TransposedConvolutions) {
  const at::Tensor x = at::randn({1, 4, 5, 3}), w = at::randn({2, 3, 3, 3}), bias = at::randn({2});
  const at::Tensor full = at::conv_transpose2d(nchw(x), w.permute({3, 0, 1, 2}), bias, 2);  // [1, 2, 9, 11]
  const auto set = [](tflite::Padding padding) { return [=](auto& o) { set_window(o, 2, padding); }; };
  expect_close(run(OpCode::kTransposeConv, {integers({1, 9, 11, 2}), w, x, bias}, {1, 9, 11, 2},
                   set(tflite::Padding::kValid), 3),
               nhwc(full));
  expect_close(
      run(OpCode::kTransposeConv, {integers({1, 8, 10, 2}), w, x, bias}, {1, 8, 10, 2}, set(tflite::Padding::kSame), 3),
      nhwc(full.slice(2, 0, 8).slice(3, 0, 10)));
  const at::Tensor wider = run(OpCode::kTransposeConv, {integers({1, 10, 11, 2}), w, x, bias}, {1, 10, 11, 2},
                               set(tflite::Padding::kValid), 3);
  expect_close(wider.slice(1, 0, 9), nhwc(full));
  expect_close(wider.slice(1, 9, 10), bias.expand({1, 1, 11, 2}));  // only the bias reaches the last row
}

TEST(FloatIsland, Pools) {
  const at::Tensor x = at::randn({1, 5, 6, 3});
  const auto pool = [](tflite::Padding padding) {
    return [=](auto& o) {
      set_window(o, 2, padding);
      o.filter_h = o.filter_w = 3;
    };
  };
  expect_close(run(OpCode::kMaxPool2d, {x}, {1, 2, 2, 3}, pool(tflite::Padding::kValid)),
               nhwc(at::max_pool2d(nchw(x), 3, 2)));
  // Rows: one before, one behind; columns: one behind. Padding does not count.
  const at::Tensor same = run(OpCode::kAveragePool2d, {x}, {1, 3, 3, 3}, pool(tflite::Padding::kSame));
  expect_close(same.slice(1, 0, 1).slice(2, 2, 3), x.slice(1, 0, 2).slice(2, 4, 6).mean({1, 2}, true));
}

TEST(FloatIsland, Resizes) {
  const at::Tensor x = at::randn({1, 4, 5, 2});
  const auto half = [](auto& o) { o.half_pixel_centers = true; };
  const auto aligned = [](auto& o) { o.align_corners = true; };
  const at::Tensor size = integers({7, 10});
  const std::vector<int64_t> shape = {1, 7, 10, 2};
  expect_close(run(OpCode::kResizeBilinear, {x, size}, shape, half),
               nhwc(at::upsample_bilinear2d(nchw(x), {7, 10}, false)));
  expect_close(run(OpCode::kResizeBilinear, {x, size}, shape, aligned),
               nhwc(at::upsample_bilinear2d(nchw(x), {7, 10}, true)));
  expect_close(run(OpCode::kResizeNearestNeighbor, {x, size}, shape), nhwc(at::upsample_nearest2d(nchw(x), {7, 10})));
}

TEST(FloatIsland, Moves) {
  const at::Tensor x = at::arange(2 * 4 * 6 * 8, at::kFloat).reshape({2, 4, 6, 8});
  const auto block = [](auto& o) { o.block_size = 2; };
  const at::Tensor deep = run(OpCode::kSpaceToDepth, {x}, {2, 2, 3, 32}, block);
  expect_close(deep, x.reshape({2, 2, 2, 3, 2, 8}).permute({0, 1, 3, 2, 4, 5}).reshape({2, 2, 3, 32}));
  expect_close(run(OpCode::kDepthToSpace, {deep}, {2, 4, 6, 8}, block), x);
  const auto slice = [&](std::vector<int32_t> begin, std::vector<int32_t> end, std::vector<int32_t> stride,
                         std::vector<int64_t> shape, tflite::SliceMasks masks = {}) {
    return run(OpCode::kStridedSlice, {x, integers(begin), integers(end), integers(stride)}, std::move(shape),
               [&](auto& o) { o.masks = masks; });
  };
  expect_close(slice({0, 1, 0, 2}, {2, 4, -1, 100}, {1, 2, 3, 1}, {2, 2, 2, 6}),
               x.slice(1, 1, 4, 2).slice(2, 0, 5, 3).slice(3, 2));
  expect_close(slice({0, 0, 5, 0}, {0, 0, 1, 0}, {1, 1, -2, 1}, {2, 4, 2, 8}, {.begin = 0b1011, .end = 0b1011}),
               at::index_select(x, 2, at::tensor({5, 3})));
  expect_close(slice({1, 0, 0, -1}, {2, 4, 6, 8}, {1, 1, 1, 1}, {4, 6}, {.shrink_axis = 0b1001}),
               x.select(0, 1).select(2, 7));
  expect_close(run(OpCode::kGather, {x, integers({3, 0, 3})}, {2, 3, 6, 8}, [](auto& o) { o.axis = 1; }),
               at::index_select(x, 1, at::tensor({3, 0, 3})));
  EXPECT_THROW(run(OpCode::kGather, {x, integers({4})}, {2, 1, 6, 8}, [](auto& o) { o.axis = 1; }), Error);
  const at::Tensor a = at::randn({2, 3}), b = at::randn({2, 3});
  const auto pack = [](auto& o) {
    o.axis = 1;
    o.values_count = 2;
  };
  expect_close(run(OpCode::kPack, {a, b}, {2, 2, 3}, pack), at::stack({a, b}, 1));
  expect_close(run(OpCode::kBroadcastTo, {a.reshape({2, 1, 3}), integers({4, 2, 5, 3})}, {4, 2, 5, 3}),
               a.reshape({2, 1, 3}).expand({4, 2, 5, 3}));
  expect_close(run(OpCode::kTranspose, {x, integers({0, 3, 1, 2})}, {2, 8, 4, 6}), nchw(x).contiguous());
  for (const int64_t channels : {2, 3, 8, 9, 70}) {  // few and many columns of a matrix that is turned
    const at::Tensor planes = at::randn({2, channels, 5, 29});
    expect_close(run(OpCode::kTranspose, {planes, integers({0, 2, 3, 1})}, {2, 5, 29, channels}),
                 planes.permute({0, 2, 3, 1}).contiguous());
  }
  expect_close(run(OpCode::kPad, {a, integers({1, 0, 2, 1}).reshape({2, 2})}, {3, 6}),
               at::constant_pad_nd(a, {2, 1, 1, 0}));
  expect_close(run(OpCode::kPadV2, {a, integers({1, 0, 2, 1}).reshape({2, 2}), at::tensor({7.5F})}, {3, 6}, nullptr, 1),
               at::constant_pad_nd(a, {2, 1, 1, 0}, 7.5));
}

TEST(FloatIsland, CastsBetweenTypes) {
  Program program(OpCode::kCast);
  program.input(at::tensor({1.9F, -1.9F, 0.0F}));
  program.output({3}, tflite::Type::kInt32);
  program.options().out_type = tflite::Type::kInt32;
  const at::Tensor got = integer::Executor(program.model()).run({at::tensor({1.9F, -1.9F, 0.0F})}).at(0);
  EXPECT_TRUE(at::equal(got, integers({1, -1, 0})));
}

TEST(FloatIsland, RefusesWhatDoesNotFit) {
  const at::Tensor x = at::randn({1, 4, 4, 3});
  EXPECT_THROW(run(OpCode::kAdd, {x, at::randn({5})}, {1, 4, 4, 3}), Error);
  EXPECT_THROW(run(OpCode::kExp, {x}, {1, 4, 4, 2}), Error);
  EXPECT_THROW(run(OpCode::kMean, {x, integers({4})}, {1, 4, 4}), Error);
  EXPECT_THROW(run(OpCode::kConv2d, {x, at::randn({2, 3, 3, 4})}, {1, 2, 2, 2}, nullptr, 1), Error);
  EXPECT_THROW(run(OpCode::kConv2d, {x, at::randn({2, 3, 3, 3}), at::randn({3})}, {1, 2, 2, 2}, nullptr, 1), Error);
  EXPECT_THROW(run(OpCode::kFullyConnected, {x, at::randn({2, 5})}, {1, 4, 4, 2}, nullptr, 1), Error);
  EXPECT_THROW(run(OpCode::kAdd, {x, integers({5})}, {1, 4, 4, 3}), Error) << "int32 beside float32";
}

}  // namespace
}  // namespace octet
