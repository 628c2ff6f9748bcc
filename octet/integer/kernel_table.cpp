#include "octet/integer/kernel_table.h"

#include <ATen/Functions.h>

#include <cmath>

#include "octet/integer/kernels/float_in_order.h"

namespace octet::integer {

namespace {

constexpr MakeKernel kNone = nullptr;
constexpr size_t kAxes = 1, kSize = 1, kOutputShape = 0;

KernelRow moves(tflite::OpCode code, MakeKernel make) { return {code, make, nullptr, nullptr, SIZE_MAX}; }

KernelRow computes(tflite::OpCode code, MakeKernel int8, MakeFloat float32, size_t indices = SIZE_MAX) {
  return {code, nullptr, int8, std::move(float32), indices};
}

KernelRow of_whole_numbers_too(KernelRow row) {
  row.on_whole_numbers = true;
  return row;
}

// A number of the result comes from those that stand at its place in the inputs.
std::vector<KernelRow> elementwise_rows() {
  using enum tflite::OpCode;
  using at::Tensor;
  using tflite::Options;
  return {
      // Of two inputs.
      of_whole_numbers_too(
          computes(kAdd, make_addition, of_two([](const Tensor& a, const Tensor& b) { return a + b; }))),
      of_whole_numbers_too(
          computes(kSub, make_addition, of_two([](const Tensor& a, const Tensor& b) { return a - b; }))),
      of_whole_numbers_too(
          computes(kMul, make_multiplication, of_two([](const Tensor& a, const Tensor& b) { return a * b; }))),
      computes(kDiv, kNone, of_two([](const Tensor& a, const Tensor& b) { return a / b; })),
      computes(kPow, kNone, of_two(power)),
      computes(kSquaredDifference, kNone, of_two([](const Tensor& a, const Tensor& b) { return (a - b).square(); })),
      of_whole_numbers_too(computes(kMaximum, make_extremum, of_two(at::maximum))),
      of_whole_numbers_too(computes(kMinimum, make_extremum, of_two(at::minimum))),
      of_whole_numbers_too(computes(kFloorDiv, kNone, of_two(floor_division))),
      of_whole_numbers_too(computes(kFloorMod, kNone, of_two(floor_remainder))),
      computes(kPrelu, make_prelu,
               of_two([](const Tensor& x, const Tensor& slope) { return at::where(x >= 0, x, x * slope); })),

      // Of one.
      computes(kRelu, make_relu, of_one([](const Tensor& x) { return x.clamp_min(0); })),
      computes(kRelu6, make_relu6, of_one([](const Tensor& x) { return x.clamp(0, 6); })),
      computes(kReluN1To1, make_relu_n1_to_1, of_one([](const Tensor& x) { return x.clamp(-1, 1); })),
      computes(kRelu0To1, make_relu_0_to_1, of_one([](const Tensor& x) { return x.clamp(0, 1); })),
      computes(kLeakyRelu, make_leaky_relu,
               with_options([](const Tensor& x, const Options& how) { return at::leaky_relu(x, how.alpha); })),
      computes(kLogistic, make_logistic, each(logistic)),
      computes(kTanh, make_tanh, each(std::tanh)),
      computes(kHardSwish, make_hard_swish, of_one(at::hardswish)),
      computes(kGelu, kNone, with_options(gelu)),
      computes(kExp, make_exp, each(std::exp)),
      computes(kLog, make_log, each(std::log)),
      computes(kSqrt, kNone, each(std::sqrt)),
      computes(kRsqrt, make_rsqrt, of_one(at::rsqrt)),
      computes(kAbs, make_abs, of_one(at::abs)),
      of_whole_numbers_too(computes(kNeg, kNone, of_one(at::neg))),
      computes(kFloor, kNone, of_one(at::floor)),
      computes(kCeil, kNone, of_one(at::ceil)),
      computes(kRound, kNone, of_one([](const Tensor& x) { return at::round(x); })),
      computes(kSign, kNone, of_one(at::sign)),
      computes(kSin, kNone, each(std::sin)),
      computes(kCos, kNone, each(std::cos)),
      computes(kElu, kNone, each([](float x) { return x < 0.0F ? std::expm1(x) : x; })),

      // Of any numbers, as they are.
      moves(kEqual, make_comparison),
      moves(kNotEqual, make_comparison),
      moves(kLess, make_comparison),
      moves(kLessEqual, make_comparison),
      moves(kGreater, make_comparison),
      moves(kGreaterEqual, make_comparison),
      moves(kLogicalAnd, make_logic),
      moves(kLogicalOr, make_logic),
      moves(kLogicalNot, make_logic),
      moves(kSelectV2, make_select),

      // From type to type.
      moves(kQuantize, make_quantize),
      moves(kDequantize, make_dequantize),
      moves(kCast, make_cast),
  };
}

std::vector<KernelRow> other_rows() {
  using enum tflite::OpCode;
  return {
      // Products.
      computes(kConv2d, make_convolution, float_convolution),
      computes(kDepthwiseConv2d, make_depthwise_convolution, float_depthwise_convolution),
      computes(kTransposeConv, make_transposed_convolution, float_transposed_convolution, kOutputShape),
      computes(kFullyConnected, make_fully_connected, float_fully_connected),
      computes(kBatchMatmul, make_batch_matmul, float_batch_matmul),

      // Places and sums, of any numbers.
      moves(kArgMax, make_place_of_extremum),
      moves(kArgMin, make_place_of_extremum),
      moves(kTopkV2, make_top_k),
      moves(kCumsum, make_cumulative_sum),
      moves(kReduceAny, make_reduced_logic),
      moves(kReduceAll, make_reduced_logic),

      // Along an axis.
      computes(kSoftmax, make_softmax, with_options(softmax)),
      computes(kLogSoftmax, kNone, of_one(log_softmax)),
      computes(kMean, make_sum, float_reduction, kAxes),
      of_whole_numbers_too(computes(kSum, make_sum, float_reduction, kAxes)),
      of_whole_numbers_too(computes(kReduceMax, make_reduced_extremum, float_reduction, kAxes)),
      of_whole_numbers_too(computes(kReduceMin, make_reduced_extremum, float_reduction, kAxes)),

      // On images.
      computes(kAveragePool2d, make_pool, float_pool),
      computes(kMaxPool2d, make_pool, float_pool),
      computes(kResizeBilinear, make_resize, float_resize, kSize),
      computes(kResizeNearestNeighbor, make_resize, float_resize, kSize),

      // Moving values.
      moves(kReshape, make_reshape),
      moves(kSqueeze, make_reshape),
      moves(kExpandDims, make_reshape),
      moves(kTranspose, make_transpose),
      moves(kConcatenation, make_concatenation),
      moves(kPack, make_pack),
      moves(kSplit, make_split),
      moves(kSplitV, make_split),
      moves(kSlice, make_slice),
      moves(kStridedSlice, make_strided_slice),
      moves(kGather, make_gather),
      moves(kPad, make_pad),
      moves(kPadV2, make_pad),
      moves(kMirrorPad, make_pad),
      moves(kBroadcastTo, make_broadcast_to),
      moves(kSpaceToDepth, make_block_move),
      moves(kDepthToSpace, make_block_move),
      moves(kTile, make_tile),
      moves(kReverseV2, make_reverse),

      moves(kShape, make_shape),
  };
}

std::vector<KernelRow> make_rows() {
  std::vector<KernelRow> rows = elementwise_rows();
  for (KernelRow& row : rows) row.elementwise = true;
  for (KernelRow& row : other_rows()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace

const tflite::OpTable<KernelRow>& kernel_table() {
  static const tflite::OpTable<KernelRow> table("the executor's kernels", make_rows());
  return table;
}

}  // namespace octet::integer
