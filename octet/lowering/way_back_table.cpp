#include "octet/lowering/way_back.h"

namespace octet::lowering {
namespace way_back {
namespace {

void leaky_relu(WayBack& g) {
  g.give(g.call("aten.leaky_relu.default", {g.value(0), static_cast<double>(g.op().options.alpha)}));
}

void gelu(WayBack& g) {
  const std::string how = g.op().options.approximate ? "tanh" : "none";
  g.give(g.call("aten.gelu.default", {g.value(0)}, {{"approximate", Arg(how)}}));
}

// A grid of its own follows every value.
void quantize(WayBack& g) { g.give(g.value(0)); }
void dequantize(WayBack& g) { g.set(g.op().outputs.front(), g.value(0)); }

const Translate kNone;

std::vector<WayBackRow> make_rows() {
  using enum tflite::OpCode;
  using enum ImageLayout;
  return {
      // Products.
      {kConv2d, convolution, kNeeds},
      {kDepthwiseConv2d, depthwise_convolution, kNeeds},
      {kTransposeConv, transposed_convolution, kNeeds},
      {kFullyConnected, fully_connected, kEnds},
      {kBatchMatmul, matmul, kEnds},

      // Two inputs.
      {kAdd, binary("aten.add.Tensor")},
      {kSub, binary("aten.sub.Tensor")},
      {kMul, binary("aten.mul.Tensor")},
      {kDiv, binary("aten.div.Tensor")},
      {kMaximum, binary("aten.maximum.default")},
      {kMinimum, binary("aten.minimum.default")},
      {kPrelu, prelu, kNeeds},
      {kPow, binary("aten.pow.Tensor_Tensor")},
      {kSquaredDifference, squared_difference},
      {kFloorDiv, binary("aten.floor_divide.default")},
      {kFloorMod, binary("aten.remainder.Tensor")},

      // One input, each number by itself.
      {kRelu, unary("aten.relu.default")},
      {kRelu6, clip(0.0, 6.0)},
      {kReluN1To1, clip(-1.0, 1.0)},
      {kRelu0To1, clip(0.0, 1.0)},
      {kLeakyRelu, leaky_relu},
      {kGelu, gelu},
      {kLogistic, unary("aten.sigmoid.default")},
      {kTanh, unary("aten.tanh.default")},
      {kHardSwish, unary("aten.hardswish.default")},
      {kExp, unary("aten.exp.default")},
      {kLog, unary("aten.log.default")},
      {kSqrt, unary("aten.sqrt.default")},
      {kRsqrt, unary("aten.rsqrt.default")},
      {kAbs, unary("aten.abs.default")},
      {kNeg, unary("aten.neg.default")},
      {kFloor, unary("aten.floor.default")},
      {kCeil, unary("aten.ceil.default")},
      {kRound, unary("aten.round.default")},
      {kSign, unary("aten.sign.default")},
      {kSin, unary("aten.sin.default")},
      {kCos, unary("aten.cos.default")},
      {kElu, unary("aten.elu.default")},

      // Comparisons and choices.
      {kEqual, binary("aten.eq.Tensor")},
      {kNotEqual, binary("aten.ne.Tensor")},
      {kLess, binary("aten.lt.Tensor")},
      {kLessEqual, binary("aten.le.Tensor")},
      {kGreater, binary("aten.gt.Tensor")},
      {kGreaterEqual, binary("aten.ge.Tensor")},
      {kLogicalAnd, binary("aten.logical_and.default")},
      {kLogicalOr, binary("aten.logical_or.default")},
      {kLogicalNot, unary("aten.logical_not.default")},
      {kSelectV2, select},
      {kArgMax, place_of_extremum("aten.argmax.default"), kEnds},
      {kArgMin, place_of_extremum("aten.argmin.default"), kEnds},
      {kTopkV2, top_k, kEnds},
      {kCumsum, cumulative_sum},

      // Along an axis.
      {kSoftmax, softmax},
      {kLogSoftmax, along_channels("aten.log_softmax.int")},
      {kMean, reduction("aten.mean.dim")},
      {kSum, reduction("aten.sum.dim_IntList")},
      {kReduceMax, reduction("aten.amax.default")},
      {kReduceMin, reduction("aten.amin.default")},
      {kReduceAny, reduction("aten.any.dims")},
      {kReduceAll, reduction("aten.all.dims")},

      // On images.
      {kAveragePool2d, average_pool, kNeeds},
      {kMaxPool2d, max_pool, kNeeds},
      {kResizeBilinear, bilinear, kNeeds},
      {kResizeNearestNeighbor, nearest, kNeeds},

      // Moving values.
      {kReshape, reshape, kEnds},
      {kSqueeze, reshape, kEnds},
      {kExpandDims, reshape, kEnds},
      {kTranspose, transpose, kEnds},
      {kConcatenation, concatenation},
      {kPack, pack, kEnds},
      {kSplit, split},
      {kSplitV, split_v},
      {kSlice, slice},
      {kStridedSlice, strided_slice},
      {kGather, gather},
      {kPad, pad},
      {kPadV2, pad},
      {kMirrorPad, pad},
      {kBroadcastTo, broadcast_to, kEnds},
      {kTile, tile, kEnds},
      {kReverseV2, reverse},
      {kSpaceToDepth, space_to_depth, kNeeds},
      {kDepthToSpace, depth_to_space, kNeeds},

      // From type to type.
      {kQuantize, quantize},
      {kDequantize, dequantize},
      {kCast, cast},
      {kShape, kNone},  // never left behind folding
  };
}

}  // namespace
}  // namespace way_back

const tflite::OpTable<WayBackRow>& way_back_table() {
  static const tflite::OpTable<WayBackRow> table("the way back to a graph", way_back::make_rows());
  return table;
}

}  // namespace octet::lowering
