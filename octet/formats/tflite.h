#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "octet/support/api.h"
#include "octet/support/byte_source.h"

/// Programs as `.tflite` holds them: flatbuffers with identifier TFL3, schema version 3, one subgraph, and those that
/// set its variables.
namespace octet::tflite {

/// TensorType of the schema.
enum class Type : int8_t {
  kFloat32 = 0,
  kFloat16 = 1,  ///< of constants alone
  kInt32 = 2,
  kUInt8 = 3,
  kInt64 = 4,
  kBool = 6,
  kInt16 = 7,
  kInt8 = 9,
};
/// "int8"
OCTET_API const char* type_name(Type type);
/// Bytes of one element.
OCTET_API int64_t type_size(Type type);

/// The integers that a type's levels and zero points can be.
struct LevelRange {
  int64_t low = 0, high = 0;
  bool operator==(const LevelRange&) const = default;
};
/// int8: -128 to 127. nullopt for the types that are never quantized.
OCTET_API std::optional<LevelRange> level_range(Type type);

/// BuiltinOperator of the schema.
enum class OpCode : int32_t {
  kAdd = 0,
  kAveragePool2d = 1,
  kConcatenation = 2,
  kConv2d = 3,
  kDepthwiseConv2d = 4,
  kDepthToSpace = 5,
  kDequantize = 6,
  kFloor = 8,
  kFullyConnected = 9,
  kLogistic = 14,
  kMaxPool2d = 17,
  kMul = 18,
  kRelu = 19,
  kReluN1To1 = 20,
  kRelu6 = 21,
  kReshape = 22,
  kResizeBilinear = 23,
  kSoftmax = 25,
  kSpaceToDepth = 26,
  kTanh = 28,
  kPad = 34,
  kGather = 36,
  kTranspose = 39,
  kMean = 40,
  kSub = 41,
  kDiv = 42,
  kSqueeze = 43,
  kStridedSlice = 45,
  kExp = 47,
  kTopkV2 = 48,
  kSplit = 49,
  kLogSoftmax = 50,
  kCast = 53,
  kPrelu = 54,
  kMaximum = 55,
  kArgMax = 56,
  kMinimum = 57,
  kLess = 58,
  kNeg = 59,
  kPadV2 = 60,
  kGreater = 61,
  kGreaterEqual = 62,
  kLessEqual = 63,
  kSlice = 65,
  kSin = 66,
  kTransposeConv = 67,
  kTile = 69,
  kExpandDims = 70,
  kEqual = 71,
  kNotEqual = 72,
  kLog = 73,
  kSum = 74,
  kSqrt = 75,
  kRsqrt = 76,
  kShape = 77,
  kPow = 78,
  kArgMin = 79,
  kReduceMax = 82,
  kPack = 83,
  kLogicalOr = 84,
  kLogicalAnd = 86,
  kLogicalNot = 87,
  kReduceMin = 89,
  kFloorDiv = 90,
  kReduceAny = 91,
  kFloorMod = 95,
  kResizeNearestNeighbor = 97,
  kLeakyRelu = 98,
  kSquaredDifference = 99,
  kMirrorPad = 100,
  kAbs = 101,
  kSplitV = 102,
  kCeil = 104,
  kReverseV2 = 105,
  kCos = 108,
  kElu = 111,
  kQuantize = 114,
  kRound = 116,
  kHardSwish = 117,
  kSelectV2 = 123,
  kBatchMatmul = 126,
  kCumsum = 128,
  kBroadcastTo = 130,
  kReduceAll = 140,
  kGelu = 150,
  kRelu0To1 = 152,
  kSign = 158,
};
/// "CONV_2D"; "operator 999" for a code that the schema does not name.
OCTET_API std::string op_name(OpCode code);

enum class Padding : int8_t { kSame = 0, kValid = 1 };
/// Activation computed with the operator.
enum class Activation : int8_t { kNone = 0, kRelu = 1, kReluN1To1 = 2, kRelu6 = 3 };

/// Bit d of a mask speaks of dimension d.
struct SliceMasks {
  int32_t begin = 0, end = 0;  ///< the bound is the dimension's own
  int32_t ellipsis = 0, new_axis = 0;
  int32_t shrink_axis = 0;  ///< one index is taken, the dimension goes
  bool offset = false;      ///< the end is counted from the beginning
  bool operator==(const SliceMasks&) const = default;
};

/// Scale and zero point: of the tensor (one each), or of each index of dimension `axis`. Empty for float and indices.
struct Quantization {
  std::vector<float> scale;
  std::vector<int64_t> zero_point;
  int32_t axis = 0;
  bool operator==(const Quantization&) const = default;
};

struct OCTET_API Tensor {
  std::string name;
  Type type = Type::kInt8;
  std::vector<int64_t> shape;  ///< NHWC for images
  Quantization quantization;
  bool is_constant = false;
  std::vector<uint8_t> data;  ///< of a constant: its elements, little-endian
  int64_t numel() const;
  bool operator==(const Tensor&) const = default;
};

/// The option tables of all operators as one: each operator reads its own fields, the others keep their defaults.
struct Options {
  Padding padding = Padding::kValid;
  Activation activation = Activation::kNone;
  int32_t stride_h = 1, stride_w = 1;
  int32_t dilation_h = 1, dilation_w = 1;
  int32_t filter_h = 1, filter_w = 1;  ///< of pools
  int32_t depth_multiplier = 1;
  int32_t axis = 0;            ///< CONCATENATION, GATHER, PACK
  int32_t num_splits = 0;      ///< SPLIT, SPLIT_V
  int32_t values_count = 0;    ///< PACK: its inputs
  int32_t batch_dims = 0;      ///< GATHER
  int32_t block_size = 0;      ///< DEPTH_TO_SPACE, SPACE_TO_DEPTH
  bool keep_dims = false;      ///< reductions
  bool keep_num_dims = false;  ///< FULLY_CONNECTED
  float beta = 1.0F;           ///< SOFTMAX
  float alpha = 0.0F;          ///< LEAKY_RELU
  bool align_corners = false, half_pixel_centers = false;
  bool adj_x = false, adj_y = false;        ///< BATCH_MATMUL
  bool exclusive = false, reverse = false;  ///< CUMSUM
  int8_t mirror_mode = 0;                   ///< 0 reflect, 1 symmetric
  bool approximate = false;                 ///< GELU: by tanh
  Type in_type = Type::kFloat32;            ///< CAST: of its input
  Type out_type = Type::kFloat32;           ///< CAST, ARG_MAX, ARG_MIN: of the output
  SliceMasks masks;                         ///< STRIDED_SLICE
  std::vector<int32_t> new_shape;           ///< RESHAPE
  std::vector<int32_t> squeeze_dims;
  bool operator==(const Options&) const = default;
};

struct Operator {
  OpCode code = OpCode::kAdd;
  int32_t version = 1;
  std::vector<int32_t> inputs;  ///< tensors by index; -1: an optional one that is absent
  std::vector<int32_t> outputs;
  Options options;
  bool operator==(const Operator&) const = default;
};

/// A name of a signature and the tensor it stands for.
using SignatureEntry = std::pair<std::string, int32_t>;

/// A variable that a program keeps between its runs (VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE): in a Model an input
/// and an output, behind the others.
struct State {
  std::string name;           ///< as the file has it
  int32_t input = -1;         ///< the value before a run; -1: never read
  int32_t output = -1;        ///< the value behind it, for the next; -1: never assigned
  std::vector<uint8_t> data;  ///< its elements before the first run; empty: zeros
  bool operator==(const State&) const = default;
};

struct Model {
  std::string description;
  std::vector<Tensor> tensors;
  std::vector<Operator> operators;  ///< in order of execution
  std::vector<int32_t> inputs, outputs;
  std::vector<SignatureEntry> signature_inputs, signature_outputs;  ///< "serving_default", or the first
  std::vector<std::pair<std::string, std::string>> metadata;        ///< name, bytes
  std::vector<State> states;  ///< of a file with variables; not written: what is written has inputs and outputs alone
  bool operator==(const Model&) const = default;
};

/// Reads and checks a file: identifier, flatbuffer, schema version, every index, the size of every constant,
/// per-channel parameters, one subgraph. Variables become states: an input and an output each. Throws octet::Error
/// naming file and tensor or operator, also for operators and types that octet does not know.
OCTET_API Model read(const std::string& path);
OCTET_API Model read(const std::shared_ptr<const ByteSource>& source);

/// Throws octet::Error, naming tensor or operator, for a model that contradicts itself: what read() and serialize()
/// check. After it every index is in range, every operator has as many inputs and outputs as it must, options that it
/// lacks are at their defaults, and each tensor is a constant, an input, or computed once before it is used. Whether
/// the shapes and types of an operator's tensors fit each other is left to who runs it.
OCTET_API void check(const Model& model, const std::string& where = "model");

/// True for a file that carries the identifier TFL3.
OCTET_API bool is_tflite(const std::string& path);

/// The bytes of the file: valid for the flatbuffer verifier, constants aligned to 16 bytes, equal ones in one buffer,
/// buffer 0 empty, both forms of the operator code. Equal models give equal bytes. Throws octet::Error for a model that
/// no reader would take.
OCTET_API std::vector<uint8_t> serialize(const Model& model);
/// Written whole or not at all.
OCTET_API void write(const Model& model, const std::string& path);

}  // namespace octet::tflite
