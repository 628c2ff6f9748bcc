#include "octet/formats/tflite_ops.h"

#include <array>
#include <climits>

#include "octet/support/error.h"

namespace octet::tflite {
namespace {

constexpr int32_t kAny = INT_MAX;
constexpr uint32_t kWindow = kHasPadding | kHasStride | kHasActivation;

constexpr std::array kOps = {
    OpFacts{OpCode::kAdd, "ADD", 11, kHasActivation, 2, 2},
    OpFacts{OpCode::kAveragePool2d, "AVERAGE_POOL_2D", 5, kWindow | kHasFilter, 1, 1},
    OpFacts{OpCode::kConcatenation, "CONCATENATION", 10, kHasAxis | kHasActivation, 1, kAny},
    OpFacts{OpCode::kConv2d, "CONV_2D", 1, kWindow | kHasDilation, 2, 3, 2},
    OpFacts{OpCode::kDepthwiseConv2d, "DEPTHWISE_CONV_2D", 2, kWindow | kHasDilation | kHasDepthMultiplier, 2, 3, 2},
    OpFacts{OpCode::kDepthToSpace, "DEPTH_TO_SPACE", 94, kHasBlockSize, 1, 1},
    OpFacts{OpCode::kDequantize, "DEQUANTIZE", 38, 0, 1, 1},
    OpFacts{OpCode::kFullyConnected, "FULLY_CONNECTED", 8, kHasActivation | kHasKeepNumDims, 2, 3, 2},
    OpFacts{OpCode::kLogistic, "LOGISTIC", 0, 0, 1, 1},
    OpFacts{OpCode::kMaxPool2d, "MAX_POOL_2D", 5, kWindow | kHasFilter, 1, 1},
    OpFacts{OpCode::kMul, "MUL", 21, kHasActivation, 2, 2},
    OpFacts{OpCode::kRelu, "RELU", 0, 0, 1, 1},
    OpFacts{OpCode::kReluN1To1, "RELU_N1_TO_1", 0, 0, 1, 1},
    OpFacts{OpCode::kRelu6, "RELU6", 0, 0, 1, 1},
    OpFacts{OpCode::kReshape, "RESHAPE", 17, kHasNewShape, 1, 2},
    OpFacts{OpCode::kResizeBilinear, "RESIZE_BILINEAR", 15, kHasResize, 2, 2},
    OpFacts{OpCode::kSoftmax, "SOFTMAX", 9, kHasBeta, 1, 1},
    OpFacts{OpCode::kSpaceToDepth, "SPACE_TO_DEPTH", 19, kHasBlockSize, 1, 1},
    OpFacts{OpCode::kTanh, "TANH", 0, 0, 1, 1},
    OpFacts{OpCode::kPad, "PAD", 22, 0, 2, 2},
    OpFacts{OpCode::kGather, "GATHER", 23, kHasAxis | kHasBatchDims, 2, 2},
    OpFacts{OpCode::kTranspose, "TRANSPOSE", 26, 0, 2, 2},
    OpFacts{OpCode::kMean, "MEAN", 27, kHasKeepDims, 2, 2},
    OpFacts{OpCode::kSub, "SUB", 28, kHasActivation, 2, 2},
    OpFacts{OpCode::kDiv, "DIV", 29, kHasActivation, 2, 2},
    OpFacts{OpCode::kSqueeze, "SQUEEZE", 30, kHasSqueezeDims, 1, 1},
    OpFacts{OpCode::kStridedSlice, "STRIDED_SLICE", 32, kHasSliceMasks, 4, 4},
    OpFacts{OpCode::kExp, "EXP", 33, 0, 1, 1},
    OpFacts{OpCode::kSplit, "SPLIT", 35, kHasNumSplits, 2, 2, -1, true},
    OpFacts{OpCode::kLogSoftmax, "LOG_SOFTMAX", 36, 0, 1, 1},
    OpFacts{OpCode::kCast, "CAST", 37, kHasTypes, 1, 1},
    OpFacts{OpCode::kPrelu, "PRELU", 0, 0, 2, 2},
    OpFacts{OpCode::kMaximum, "MAXIMUM", 39, 0, 2, 2},
    OpFacts{OpCode::kMinimum, "MINIMUM", 39, 0, 2, 2},
    OpFacts{OpCode::kNeg, "NEG", 42, 0, 1, 1},
    OpFacts{OpCode::kPadV2, "PADV2", 43, 0, 3, 3},
    OpFacts{OpCode::kSlice, "SLICE", 48, 0, 3, 3},
    OpFacts{OpCode::kTransposeConv, "TRANSPOSE_CONV", 49, kWindow, 3, 4, 3},
    OpFacts{OpCode::kExpandDims, "EXPAND_DIMS", 52, 0, 2, 2},
    OpFacts{OpCode::kLog, "LOG", 0, 0, 1, 1},
    OpFacts{OpCode::kSum, "SUM", 27, kHasKeepDims, 2, 2},
    OpFacts{OpCode::kSqrt, "SQRT", 0, 0, 1, 1},
    OpFacts{OpCode::kRsqrt, "RSQRT", 0, 0, 1, 1},
    OpFacts{OpCode::kPow, "POW", 56, 0, 2, 2},
    OpFacts{OpCode::kReduceMax, "REDUCE_MAX", 27, kHasKeepDims, 2, 2},
    OpFacts{OpCode::kPack, "PACK", 59, kHasAxis | kHasValuesCount, 1, kAny},
    OpFacts{OpCode::kReduceMin, "REDUCE_MIN", 27, kHasKeepDims, 2, 2},
    OpFacts{OpCode::kResizeNearestNeighbor, "RESIZE_NEAREST_NEIGHBOR", 74, kHasResize, 2, 2},
    OpFacts{OpCode::kLeakyRelu, "LEAKY_RELU", 75, kHasAlpha, 1, 1},
    OpFacts{OpCode::kSquaredDifference, "SQUARED_DIFFERENCE", 76, 0, 2, 2},
    OpFacts{OpCode::kMirrorPad, "MIRROR_PAD", 77, kHasMirrorMode, 2, 2},
    OpFacts{OpCode::kAbs, "ABS", 78, 0, 1, 1},
    OpFacts{OpCode::kSplitV, "SPLIT_V", 79, kHasNumSplits, 3, 3, -1, true},
    OpFacts{OpCode::kQuantize, "QUANTIZE", 89, 0, 1, 1},
    OpFacts{OpCode::kHardSwish, "HARD_SWISH", 91, 0, 1, 1},
    OpFacts{OpCode::kBatchMatmul, "BATCH_MATMUL", 101, kHasAdjoint, 2, 2},
    OpFacts{OpCode::kBroadcastTo, "BROADCAST_TO", 104, 0, 2, 2},
    OpFacts{OpCode::kGelu, "GELU", 116, kHasApproximate, 1, 1},
    OpFacts{OpCode::kRelu0To1, "RELU_0_TO_1", 0, 0, 1, 1},
};

}  // namespace

const OpFacts* find_op(int32_t code) {
  for (const OpFacts& facts : kOps) {
    if (static_cast<int32_t>(facts.code) == code) return &facts;
  }
  return nullptr;
}

std::string op_name(OpCode code) {
  const OpFacts* facts = find_op(static_cast<int32_t>(code));
  return facts != nullptr ? facts->name : octet::str("operator ", static_cast<int32_t>(code));
}

const char* type_name(Type type) {
  switch (type) {
    case Type::kFloat32:
      return "float32";
    case Type::kInt32:
      return "int32";
    case Type::kUInt8:
      return "uint8";
    case Type::kInt64:
      return "int64";
    case Type::kBool:
      return "bool";
    case Type::kInt16:
      return "int16";
    case Type::kInt8:
      return "int8";
  }
  return "unknown";
}

int64_t type_size(Type type) {
  switch (type) {
    case Type::kUInt8:
    case Type::kBool:
    case Type::kInt8:
      return 1;
    case Type::kInt16:
      return 2;
    case Type::kFloat32:
    case Type::kInt32:
      return 4;
    case Type::kInt64:
      return 8;
  }
  throw Error("", octet::str("type ", static_cast<int>(type), " of tflite is not known"));
}

int64_t Tensor::numel() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

Options only(uint32_t fields, const Options& options) {
  Options kept;
  const auto keep = [&](uint32_t field, auto member) {
    if ((fields & field) != 0) kept.*member = options.*member;
  };
  keep(kHasPadding, &Options::padding);
  keep(kHasActivation, &Options::activation);
  keep(kHasStride, &Options::stride_h);
  keep(kHasStride, &Options::stride_w);
  keep(kHasDilation, &Options::dilation_h);
  keep(kHasDilation, &Options::dilation_w);
  keep(kHasFilter, &Options::filter_h);
  keep(kHasFilter, &Options::filter_w);
  keep(kHasDepthMultiplier, &Options::depth_multiplier);
  keep(kHasAxis, &Options::axis);
  keep(kHasNumSplits, &Options::num_splits);
  keep(kHasKeepDims, &Options::keep_dims);
  keep(kHasKeepNumDims, &Options::keep_num_dims);
  keep(kHasBeta, &Options::beta);
  keep(kHasAlpha, &Options::alpha);
  keep(kHasResize, &Options::align_corners);
  keep(kHasResize, &Options::half_pixel_centers);
  keep(kHasAdjoint, &Options::adj_x);
  keep(kHasAdjoint, &Options::adj_y);
  keep(kHasMirrorMode, &Options::mirror_mode);
  keep(kHasNewShape, &Options::new_shape);
  keep(kHasSqueezeDims, &Options::squeeze_dims);
  keep(kHasValuesCount, &Options::values_count);
  keep(kHasBatchDims, &Options::batch_dims);
  keep(kHasBlockSize, &Options::block_size);
  keep(kHasApproximate, &Options::approximate);
  keep(kHasTypes, &Options::in_type);
  keep(kHasTypes, &Options::out_type);
  keep(kHasSliceMasks, &Options::masks);
  return kept;
}

std::string tensor_place(const std::string& file, size_t index, const std::string& name) {
  return octet::str(file, ": tensor ", index, " '", name, "'");
}

std::string operator_place(const std::string& file, size_t index, OpCode code) {
  return octet::str(file, ": operator ", index, " ", op_name(code));
}

}  // namespace octet::tflite
