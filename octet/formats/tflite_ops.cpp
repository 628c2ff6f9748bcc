#include "octet/formats/tflite_ops.h"

#include <array>
#include <limits>

#include "octet/formats/tflite_names.h"
#include "octet/formats/tflite_options.h"
#include "octet/formats/tflite_table.h"
#include "octet/formats/tflite_versions.h"
#include "octet/support/error.h"

namespace octet::tflite {
namespace {

constexpr const OptionsTable* kNone = nullptr;
template <typename Table>
constexpr const OptionsTable* kWith = &kOptions<Table>;

std::vector<OpFacts> make_ops() {
  using enum OpCode;
  using namespace versions;
  return {
      {kAdd, "ADD", kWith<fb::AddOptions>, {2, 2}, two_for_int8},
      {kAveragePool2d, "AVERAGE_POOL_2D", kWith<fb::Pool2DOptions>, {1, 1}, two_for_int8},
      {kConcatenation, "CONCATENATION", kWith<fb::ConcatenationOptions>, {1, kAny}, two_for_int8},
      {kConv2d, "CONV_2D", kWith<fb::Conv2DOptions>, {2, 3, 2}, convolution},
      {kDepthwiseConv2d, "DEPTHWISE_CONV_2D", kWith<fb::DepthwiseConv2DOptions>, {2, 3, 2}, depthwise},
      {kDepthToSpace, "DEPTH_TO_SPACE", kWith<fb::DepthToSpaceOptions>, {1, 1}, two_for_int8},
      {kDequantize, "DEQUANTIZE", kWith<fb::DequantizeOptions>, {1, 1}, two_for_int8},
      {kFullyConnected, "FULLY_CONNECTED", kWith<fb::FullyConnectedOptions>, {2, 3, 2}, fully_connected},
      {kLogistic, "LOGISTIC", kNone, {1, 1}, two_for_int8},
      {kMaxPool2d, "MAX_POOL_2D", kWith<fb::Pool2DOptions>, {1, 1}, two_for_int8},
      {kMul, "MUL", kWith<fb::MulOptions>, {2, 2}, product},
      {kRelu, "RELU", kNone, {1, 1}, two_for_int8},
      {kReluN1To1, "RELU_N1_TO_1", kNone, {1, 1}, one},
      {kRelu6, "RELU6", kNone, {1, 1}, two_for_int8},
      {kReshape, "RESHAPE", kWith<fb::ReshapeOptions>, {1, 2}, one},
      {kResizeBilinear, "RESIZE_BILINEAR", kWith<fb::ResizeBilinearOptions>, {2, 2}, bilinear},
      {kSoftmax, "SOFTMAX", kWith<fb::SoftmaxOptions>, {1, 1}, two_for_int8},
      {kSpaceToDepth, "SPACE_TO_DEPTH", kWith<fb::SpaceToDepthOptions>, {1, 1}, two_for_int8},
      {kTanh, "TANH", kNone, {1, 1}, two_for_int8},
      {kPad, "PAD", kWith<fb::PadOptions>, {2, 2}, padding},
      {kGather, "GATHER", kWith<fb::GatherOptions>, {2, 2}, two_for_int8},
      {kTranspose, "TRANSPOSE", kWith<fb::TransposeOptions>, {2, 2}, transpose},
      {kMean, "MEAN", kWith<fb::ReducerOptions>, {2, 2}, two_for_int8},
      {kSub, "SUB", kWith<fb::SubOptions>, {2, 2}, difference},
      {kDiv, "DIV", kWith<fb::DivOptions>, {2, 2}, two_for_int8},
      {kSqueeze, "SQUEEZE", kWith<fb::SqueezeOptions>, {1, 1}, one},
      {kStridedSlice, "STRIDED_SLICE", kWith<fb::StridedSliceOptions>, {4, 4}, two_for_int8},
      {kExp, "EXP", kWith<fb::ExpOptions>, {1, 1}, two_for_int8},
      {kSplit, "SPLIT", kWith<fb::SplitOptions>, {2, 2}, two_for_int8, true},
      {kLogSoftmax, "LOG_SOFTMAX", kWith<fb::LogSoftmaxOptions>, {1, 1}, two_for_int8},
      {kCast, "CAST", kWith<fb::CastOptions>, {1, 1}, two_for_int8},
      {kPrelu, "PRELU", kNone, {2, 2}, one},
      {kMaximum, "MAXIMUM", kWith<fb::MaximumMinimumOptions>, {2, 2}, two_for_int8},
      {kMinimum, "MINIMUM", kWith<fb::MaximumMinimumOptions>, {2, 2}, two_for_int8},
      {kNeg, "NEG", kWith<fb::NegOptions>, {1, 1}, one},
      {kPadV2, "PADV2", kWith<fb::PadV2Options>, {3, 3}, two_for_int8},
      {kSlice, "SLICE", kWith<fb::SliceOptions>, {3, 3}, slice},
      {kTransposeConv, "TRANSPOSE_CONV", kWith<fb::TransposeConvOptions>, {3, 4, 3}, transposed},
      {kExpandDims, "EXPAND_DIMS", kWith<fb::ExpandDimsOptions>, {2, 2}, one},
      {kLog, "LOG", kNone, {1, 1}, two_for_int8},
      {kSum, "SUM", kWith<fb::ReducerOptions>, {2, 2}, two_for_int8},
      {kSqrt, "SQRT", kNone, {1, 1}, two_for_int8},
      {kRsqrt, "RSQRT", kNone, {1, 1}, two_for_int8},
      {kShape, "SHAPE", kWith<fb::ShapeOptions>, {1, 1}, one},
      {kPow, "POW", kWith<fb::PowOptions>, {2, 2}, two_for_int8},
      {kReduceMax, "REDUCE_MAX", kWith<fb::ReducerOptions>, {2, 2}, two_for_int8},
      {kPack, "PACK", kWith<fb::PackOptions>, {1, kAny}, two_for_int8},
      {kReduceMin, "REDUCE_MIN", kWith<fb::ReducerOptions>, {2, 2}, two_for_int8},
      {kResizeNearestNeighbor, "RESIZE_NEAREST_NEIGHBOR", kWith<fb::ResizeNearestNeighborOptions>, {2, 2}, nearest},
      {kLeakyRelu, "LEAKY_RELU", kWith<fb::LeakyReluOptions>, {1, 1}, one},
      {kSquaredDifference, "SQUARED_DIFFERENCE", kWith<fb::SquaredDifferenceOptions>, {2, 2}, two_for_int8},
      {kMirrorPad, "MIRROR_PAD", kWith<fb::MirrorPadOptions>, {2, 2}, two_for_int8},
      {kAbs, "ABS", kWith<fb::AbsOptions>, {1, 1}, two_for_int8},
      {kSplitV, "SPLIT_V", kWith<fb::SplitVOptions>, {3, 3}, two_for_int8, true},
      {kQuantize, "QUANTIZE", kWith<fb::QuantizeOptions>, {1, 1}, one},
      {kHardSwish, "HARD_SWISH", kWith<fb::HardSwishOptions>, {1, 1}, one},
      {kBatchMatmul, "BATCH_MATMUL", kWith<fb::BatchMatMulOptions>, {2, 2}, two_for_int8},
      {kBroadcastTo, "BROADCAST_TO", kWith<fb::BroadcastToOptions>, {2, 2}, two},
      {kGelu, "GELU", kWith<fb::GeluOptions>, {1, 1}, two_for_int8},
      {kRelu0To1, "RELU_0_TO_1", kNone, {1, 1}, one},
      {kFloor, "FLOOR", kNone, {1, 1}, one},
      {kCeil, "CEIL", kNone, {1, 1}, one},
      {kRound, "ROUND", kNone, {1, 1}, one},
      {kSign, "SIGN", kWith<fb::SignOptions>, {1, 1}, one},
      {kSin, "SIN", kNone, {1, 1}, one},
      {kCos, "COS", kWith<fb::CosOptions>, {1, 1}, one},
      {kElu, "ELU", kNone, {1, 1}, one},
      {kFloorDiv, "FLOOR_DIV", kWith<fb::FloorDivOptions>, {2, 2}, one},
      {kFloorMod, "FLOOR_MOD", kWith<fb::FloorModOptions>, {2, 2}, one},
      {kEqual, "EQUAL", kWith<fb::EqualOptions>, {2, 2}, two_for_int8},
      {kNotEqual, "NOT_EQUAL", kWith<fb::NotEqualOptions>, {2, 2}, two_for_int8},
      {kLess, "LESS", kWith<fb::LessOptions>, {2, 2}, two_for_int8},
      {kLessEqual, "LESS_EQUAL", kWith<fb::LessEqualOptions>, {2, 2}, two_for_int8},
      {kGreater, "GREATER", kWith<fb::GreaterOptions>, {2, 2}, two_for_int8},
      {kGreaterEqual, "GREATER_EQUAL", kWith<fb::GreaterEqualOptions>, {2, 2}, two_for_int8},
      {kLogicalAnd, "LOGICAL_AND", kWith<fb::LogicalAndOptions>, {2, 2}, one},
      {kLogicalOr, "LOGICAL_OR", kWith<fb::LogicalOrOptions>, {2, 2}, one},
      {kLogicalNot, "LOGICAL_NOT", kWith<fb::LogicalNotOptions>, {1, 1}, one},
      {kSelectV2, "SELECT_V2", kWith<fb::SelectV2Options>, {3, 3}, one},
      {kArgMax, "ARG_MAX", kWith<fb::ArgMaxOptions>, {2, 2}, two_for_int8},
      {kArgMin, "ARG_MIN", kWith<fb::ArgMinOptions>, {2, 2}, two_for_int8},
      {kTopkV2, "TOPK_V2", kWith<fb::TopKV2Options>, {2, 2}, two_for_int8, true},
      {kCumsum, "CUMSUM", kWith<fb::CumsumOptions>, {2, 2}, one},
      {kReduceAny, "REDUCE_ANY", kWith<fb::ReducerOptions>, {2, 2}, one},
      {kReduceAll, "REDUCE_ALL", kWith<fb::ReducerOptions>, {2, 2}, one},
      {kTile, "TILE", kWith<fb::TileOptions>, {2, 2}, one},
      {kReverseV2, "REVERSE_V2", kWith<fb::ReverseV2Options>, {2, 2}, one},
  };
}

const std::vector<OpFacts>& all_ops() {
  static const std::vector<OpFacts> ops = make_ops();
  return ops;
}

}  // namespace

Fields OpFacts::fields() const { return options == nullptr ? Fields() : options->fields; }

const std::vector<OpCode>& op_codes() {
  static const std::vector<OpCode> codes = [] {
    std::vector<OpCode> all;
    for (const OpFacts& facts : all_ops()) all.push_back(facts.code);
    return all;
  }();
  return codes;
}

const OpFacts* find_op(int32_t code) {
  static const auto by_code = [] {
    std::array<const OpFacts*, 256> table{};
    for (const OpFacts& facts : all_ops()) table.at(static_cast<size_t>(facts.code)) = &facts;
    return table;
  }();
  return code >= 0 && static_cast<size_t>(code) < by_code.size() ? by_code[static_cast<size_t>(code)] : nullptr;
}

std::string op_name(OpCode code) {
  const OpFacts* facts = find_op(static_cast<int32_t>(code));
  return facts != nullptr ? facts->name : builtin_name(static_cast<int32_t>(code));
}

const char* type_name(Type type) {
  switch (type) {
    case Type::kFloat32:
      return "float32";
    case Type::kFloat16:
      return "float16";
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
    case Type::kFloat16:
      return 2;
    case Type::kFloat32:
    case Type::kInt32:
      return 4;
    case Type::kInt64:
      return 8;
  }
  throw Error("", tensor_type_name(static_cast<int32_t>(type)) + " of tflite is not a type that octet reads");
}

std::optional<LevelRange> level_range(Type type) {
  switch (type) {
    case Type::kInt8:
      return LevelRange{-128, 127};
    case Type::kUInt8:
      return LevelRange{0, 255};
    case Type::kInt16:
      return LevelRange{-32768, 32767};
    case Type::kInt32:
    case Type::kInt64:
      return LevelRange{std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    case Type::kFloat32:
    case Type::kFloat16:
    case Type::kBool:
      break;
  }
  return std::nullopt;
}

int64_t Tensor::numel() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

Options only(Fields fields, const Options& options) {
  Options kept;
#define OCTET_FIELD(name, member) \
  if (fields.has(Field::name)) kept.member = options.member;
  OCTET_TFLITE_FIELDS(OCTET_FIELD)
#undef OCTET_FIELD
  return kept;
}

std::string tensor_place(const std::string& file, size_t index, const std::string& name) {
  return octet::str(file, ": tensor ", index, " '", name, "'");
}

std::string operator_place(const std::string& file, size_t index, OpCode code) {
  return octet::str(file, ": operator ", index, " ", op_name(code));
}

}  // namespace octet::tflite
