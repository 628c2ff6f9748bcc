#include "octet/formats/tflite.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <set>

#include "octet/formats/npy.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"
#include "tflite_generated.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using test::fails_with;
using tflite::Model;
using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

Model read_bytes(const std::vector<uint8_t>& bytes) {
  return tflite::read(memory_source("memory.tflite", std::string(bytes.begin(), bytes.end())));
}

std::vector<fs::path> golden_files() {
  std::vector<fs::path> files;
  for (const auto& folder : fs::directory_iterator(test::data("golden/cases"))) {
    for (const auto& file : fs::directory_iterator(folder.path())) {
      if (file.path().extension() == ".tflite") files.push_back(file.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

Tensor int8_tensor(const std::string& name, std::vector<int64_t> shape) {
  Tensor tensor;
  tensor.name = name;
  tensor.shape = std::move(shape);
  tensor.quantization = {{0.5F}, {-3}, 0};
  return tensor;
}

Tensor constant(const std::string& name, std::vector<int64_t> shape, std::vector<uint8_t> data) {
  Tensor tensor = int8_tensor(name, std::move(shape));
  tensor.is_constant = true;
  tensor.data = std::move(data);
  return tensor;
}

// One operator with `inputs` inputs and `outputs` outputs, all of them the model's.
Model one_operator(OpCode code, int inputs, int outputs = 1) {
  Model model;
  tflite::Operator op;
  op.code = code;
  for (int i = 0; i < inputs + outputs; ++i) {
    auto& list = i < inputs ? op.inputs : op.outputs;
    list.push_back(i);
    (i < inputs ? model.inputs : model.outputs).push_back(i);
    model.tensors.push_back(int8_tensor("t" + std::to_string(i), {2, 3, 4, 5}));
  }
  model.operators.push_back(op);
  return model;
}

TEST(Tflite, ReadsEveryGoldenFileWithTheShapesOfItsArrays) {
  const std::vector<fs::path> files = golden_files();
  ASSERT_EQ(files.size(), 131U);
  for (const fs::path& file : files) {
    const Model model = tflite::read(file.string());
    ASSERT_FALSE(model.operators.empty()) << file;
    const auto compare = [&](const std::vector<int32_t>& indices, const char* what) {
      ASSERT_FALSE(indices.empty()) << file;
      for (size_t i = 0; i < indices.size(); ++i) {
        const at::Tensor array =
            read_npy((file.parent_path() / file.stem()).string() + what + std::to_string(i) + ".npy");
        const Tensor& tensor = model.tensors[indices[i]];
        EXPECT_EQ(array.sizes().vec(), tensor.shape) << file << what << i;
        EXPECT_EQ(tensor.type, Type::kInt8) << file << what << i;
        EXPECT_EQ(tensor.quantization.scale.size(), 1U) << file << what << i;
      }
    };
    compare(model.inputs, "_in_");
    compare(model.outputs, "_out_");
  }
}

TEST(Tflite, ReadsWhatAConvolutionHolds) {
  const Model model = tflite::read(test::data("golden/cases/conv_bn_relu/neutron_0.tflite"));
  std::vector<std::string> names;
  for (const tflite::Operator& op : model.operators) names.push_back(tflite::op_name(op.code));
  EXPECT_EQ(names, (std::vector<std::string>{"TRANSPOSE", "PADV2", "CONV_2D", "RELU", "TRANSPOSE"}));
  const tflite::Operator& conv = model.operators[2];
  EXPECT_EQ(conv.options.padding, tflite::Padding::kValid);
  EXPECT_EQ(conv.options.stride_h, 1);
  EXPECT_EQ(conv.options.dilation_w, 1);
  ASSERT_EQ(conv.inputs.size(), 3U);
  const Tensor& weight = model.tensors[conv.inputs[1]];
  EXPECT_TRUE(weight.is_constant);
  EXPECT_EQ(weight.shape, (std::vector<int64_t>{8, 3, 3, 3}));
  EXPECT_EQ(weight.data.size(), 8U * 27);
  EXPECT_EQ(weight.quantization.scale.size(), 8U);
  EXPECT_EQ(weight.quantization.zero_point, std::vector<int64_t>(8, 0));
  const Tensor& bias = model.tensors[conv.inputs[2]];
  EXPECT_EQ(bias.type, Type::kInt32);
  EXPECT_EQ(bias.data.size(), 8U * 4);
  EXPECT_FLOAT_EQ(bias.quantization.scale[5],
                  model.tensors[conv.inputs[0]].quantization.scale[0] * weight.quantization.scale[5]);
  EXPECT_EQ(model.description, "TFLite from EdgeProgram");
}

TEST(Tflite, GoldenFilesComeBackEqual) {
  for (const fs::path& file : golden_files()) {
    const Model model = tflite::read(file.string());
    const std::vector<uint8_t> bytes = tflite::serialize(model);
    const Model again = read_bytes(bytes);
    ASSERT_EQ(again.operators, model.operators) << file;
    ASSERT_EQ(again.tensors, model.tensors) << file;
    ASSERT_TRUE(again == model) << file;
    ASSERT_EQ(tflite::serialize(again), bytes) << file;
  }
}

TEST(Tflite, WrittenFilesAreValidAndAligned) {
  for (const fs::path& path : golden_files()) {
    const Model model = tflite::read(path.string());
    const std::vector<uint8_t> bytes = tflite::serialize(model);
    flatbuffers::Verifier verifier(bytes.data(), bytes.size());
    ASSERT_TRUE(tflite::fb::VerifyModelBuffer(verifier)) << path;
    const tflite::fb::Model& file = *tflite::fb::GetModel(bytes.data());
    EXPECT_EQ(file.version(), 3U);
    ASSERT_GT(file.buffers()->size(), 0U);
    EXPECT_EQ(file.buffers()->Get(0)->data(), nullptr);
    for (const auto* tensor : *file.subgraphs()->Get(0)->tensors()) {
      const auto* data = file.buffers()->Get(tensor->buffer())->data();
      if (data == nullptr) continue;
      ASSERT_EQ((data->data() - bytes.data()) % 16, 0) << path << " " << tensor->name()->c_str();
    }
    std::set<std::pair<int, int>> codes;
    for (const auto* code : *file.operator_codes()) {
      EXPECT_EQ(code->deprecated_builtin_code(), std::min(code->builtin_code(), 127));
      EXPECT_TRUE(codes.emplace(code->builtin_code(), code->version()).second) << path;
    }
  }
}

struct OptionCase {
  OpCode code;
  const char* name;
  int inputs;
  std::function<void(tflite::Options&)> set;  // every field that the operator has, to other values than the defaults
  int outputs = 1;
};

void set_window(tflite::Options& o) {
  o.padding = tflite::Padding::kSame;
  o.activation = tflite::Activation::kReluN1To1;
  o.stride_h = 2;
  o.stride_w = 3;
}
void set_dilation(tflite::Options& o) {
  set_window(o);
  o.dilation_h = 4;
  o.dilation_w = 5;
}
void set_pool(tflite::Options& o) {
  set_window(o);
  o.filter_h = 6;
  o.filter_w = 7;
}
void set_activation(tflite::Options& o) { o.activation = tflite::Activation::kRelu6; }
void set_keep_dims(tflite::Options& o) { o.keep_dims = true; }
void set_nothing(tflite::Options&) {}

const std::vector<OptionCase>& option_cases() {
  static const std::vector<OptionCase> cases = {
      {OpCode::kAdd, "ADD", 2, set_activation},
      {OpCode::kAveragePool2d, "AVERAGE_POOL_2D", 1, set_pool},
      {OpCode::kConcatenation, "CONCATENATION", 5,
       [](tflite::Options& o) {
         o.axis = -2;
         o.activation = tflite::Activation::kRelu;
       }},
      {OpCode::kConv2d, "CONV_2D", 3, set_dilation},
      {OpCode::kDepthwiseConv2d, "DEPTHWISE_CONV_2D", 3,
       [](tflite::Options& o) {
         set_dilation(o);
         o.depth_multiplier = 8;
       }},
      {OpCode::kDequantize, "DEQUANTIZE", 1, set_nothing},
      {OpCode::kFullyConnected, "FULLY_CONNECTED", 3,
       [](tflite::Options& o) {
         set_activation(o);
         o.keep_num_dims = true;
       }},
      {OpCode::kLogistic, "LOGISTIC", 1, set_nothing},
      {OpCode::kMaxPool2d, "MAX_POOL_2D", 1, set_pool},
      {OpCode::kMul, "MUL", 2, set_activation},
      {OpCode::kRelu, "RELU", 1, set_nothing},
      {OpCode::kReluN1To1, "RELU_N1_TO_1", 1, set_nothing},
      {OpCode::kRelu6, "RELU6", 1, set_nothing},
      {OpCode::kReshape, "RESHAPE", 2,
       [](tflite::Options& o) {
         o.new_shape = {2, -1, 20};
       }},
      {OpCode::kResizeBilinear, "RESIZE_BILINEAR", 2, [](tflite::Options& o) { o.align_corners = true; }},
      {OpCode::kResizeBilinear, "RESIZE_BILINEAR", 2, [](tflite::Options& o) { o.half_pixel_centers = true; }},
      {OpCode::kSoftmax, "SOFTMAX", 1, [](tflite::Options& o) { o.beta = 0.25F; }},
      {OpCode::kTanh, "TANH", 1, set_nothing},
      {OpCode::kPad, "PAD", 2, set_nothing},
      {OpCode::kTranspose, "TRANSPOSE", 2, set_nothing},
      {OpCode::kMean, "MEAN", 2, set_keep_dims},
      {OpCode::kSub, "SUB", 2, set_activation},
      {OpCode::kSqueeze, "SQUEEZE", 1,
       [](tflite::Options& o) {
         o.squeeze_dims = {0, -1};
       }},
      {OpCode::kExp, "EXP", 1, set_nothing},
      {OpCode::kSplit, "SPLIT", 2, [](tflite::Options& o) { o.num_splits = 3; }, 3},
      {OpCode::kPrelu, "PRELU", 2, set_nothing},
      {OpCode::kMaximum, "MAXIMUM", 2, set_nothing},
      {OpCode::kMinimum, "MINIMUM", 2, set_nothing},
      {OpCode::kNeg, "NEG", 1, set_nothing},
      {OpCode::kPadV2, "PADV2", 3, set_nothing},
      {OpCode::kSlice, "SLICE", 3, set_nothing},
      {OpCode::kTransposeConv, "TRANSPOSE_CONV", 4, set_window},
      {OpCode::kExpandDims, "EXPAND_DIMS", 2, set_nothing},
      {OpCode::kLog, "LOG", 1, set_nothing},
      {OpCode::kSum, "SUM", 2, set_keep_dims},
      {OpCode::kRsqrt, "RSQRT", 1, set_nothing},
      {OpCode::kReduceMax, "REDUCE_MAX", 2, set_keep_dims},
      {OpCode::kReduceMin, "REDUCE_MIN", 2, set_keep_dims},
      {OpCode::kResizeNearestNeighbor, "RESIZE_NEAREST_NEIGHBOR", 2,
       [](tflite::Options& o) { o.align_corners = true; }},
      {OpCode::kResizeNearestNeighbor, "RESIZE_NEAREST_NEIGHBOR", 2,
       [](tflite::Options& o) { o.half_pixel_centers = true; }},
      {OpCode::kLeakyRelu, "LEAKY_RELU", 1, [](tflite::Options& o) { o.alpha = 0.125F; }},
      {OpCode::kMirrorPad, "MIRROR_PAD", 2, [](tflite::Options& o) { o.mirror_mode = 1; }},
      {OpCode::kAbs, "ABS", 1, set_nothing},
      {OpCode::kSplitV, "SPLIT_V", 3, [](tflite::Options& o) { o.num_splits = 2; }, 2},
      {OpCode::kQuantize, "QUANTIZE", 1, set_nothing},
      {OpCode::kHardSwish, "HARD_SWISH", 1, set_nothing},
      {OpCode::kBatchMatmul, "BATCH_MATMUL", 2, [](tflite::Options& o) { o.adj_x = true; }},
      {OpCode::kBatchMatmul, "BATCH_MATMUL", 2, [](tflite::Options& o) { o.adj_y = true; }},
      {OpCode::kRelu0To1, "RELU_0_TO_1", 1, set_nothing},
      {OpCode::kDepthToSpace, "DEPTH_TO_SPACE", 1, [](tflite::Options& o) { o.block_size = 2; }},
      {OpCode::kSpaceToDepth, "SPACE_TO_DEPTH", 1, [](tflite::Options& o) { o.block_size = 3; }},
      {OpCode::kGather, "GATHER", 2,
       [](tflite::Options& o) {
         o.axis = -1;
         o.batch_dims = 1;
       }},
      {OpCode::kDiv, "DIV", 2, set_activation},
      {OpCode::kStridedSlice, "STRIDED_SLICE", 4, [](tflite::Options& o) { o.masks = {1, 2, 3, 4, 5, true}; }},
      {OpCode::kLogSoftmax, "LOG_SOFTMAX", 1, set_nothing},
      {OpCode::kCast, "CAST", 1,
       [](tflite::Options& o) {
         o.in_type = tflite::Type::kInt8;
         o.out_type = tflite::Type::kInt64;
       }},
      {OpCode::kSqrt, "SQRT", 1, set_nothing},
      {OpCode::kPow, "POW", 2, set_nothing},
      {OpCode::kPack, "PACK", 2,
       [](tflite::Options& o) {
         o.axis = 1;
         o.values_count = 2;
       }},
      {OpCode::kSquaredDifference, "SQUARED_DIFFERENCE", 2, set_nothing},
      {OpCode::kBroadcastTo, "BROADCAST_TO", 2, set_nothing},
      {OpCode::kGelu, "GELU", 1, [](tflite::Options& o) { o.approximate = true; }},
      {OpCode::kFloor, "FLOOR", 1, set_nothing},
      {OpCode::kCeil, "CEIL", 1, set_nothing},
      {OpCode::kRound, "ROUND", 1, set_nothing},
      {OpCode::kSign, "SIGN", 1, set_nothing},
      {OpCode::kSin, "SIN", 1, set_nothing},
      {OpCode::kCos, "COS", 1, set_nothing},
      {OpCode::kElu, "ELU", 1, set_nothing},
      {OpCode::kFloorDiv, "FLOOR_DIV", 2, set_nothing},
      {OpCode::kFloorMod, "FLOOR_MOD", 2, set_nothing},
      {OpCode::kEqual, "EQUAL", 2, set_nothing},
      {OpCode::kNotEqual, "NOT_EQUAL", 2, set_nothing},
      {OpCode::kLess, "LESS", 2, set_nothing},
      {OpCode::kLessEqual, "LESS_EQUAL", 2, set_nothing},
      {OpCode::kGreater, "GREATER", 2, set_nothing},
      {OpCode::kGreaterEqual, "GREATER_EQUAL", 2, set_nothing},
      {OpCode::kLogicalAnd, "LOGICAL_AND", 2, set_nothing},
      {OpCode::kLogicalOr, "LOGICAL_OR", 2, set_nothing},
      {OpCode::kLogicalNot, "LOGICAL_NOT", 1, set_nothing},
      {OpCode::kSelectV2, "SELECT_V2", 3, set_nothing},
      {OpCode::kArgMax, "ARG_MAX", 2, [](tflite::Options& o) { o.out_type = tflite::Type::kInt64; }},
      {OpCode::kArgMin, "ARG_MIN", 2, [](tflite::Options& o) { o.out_type = tflite::Type::kInt32; }},
      {OpCode::kTopkV2, "TOPK_V2", 2, set_nothing, 2},
      {OpCode::kCumsum, "CUMSUM", 2, [](tflite::Options& o) { o.exclusive = true; }},
      {OpCode::kCumsum, "CUMSUM", 2, [](tflite::Options& o) { o.reverse = true; }},
      {OpCode::kReduceAny, "REDUCE_ANY", 2, set_keep_dims},
      {OpCode::kReduceAll, "REDUCE_ALL", 2, set_keep_dims},
      {OpCode::kTile, "TILE", 2, set_nothing},
      {OpCode::kReverseV2, "REVERSE_V2", 2, set_nothing},
  };
  return cases;
}

TEST(Tflite, EveryOperatorKeepsItsOptionsAndItsVersion) {
  std::set<OpCode> seen;
  for (const OptionCase& entry : option_cases()) {
    EXPECT_EQ(tflite::op_name(entry.code), entry.name);
    Model model = one_operator(entry.code, entry.inputs, entry.outputs);
    entry.set(model.operators[0].options);
    model.operators[0].version = 7;
    const Model again = read_bytes(tflite::serialize(model));
    EXPECT_EQ(again.operators[0].options, model.operators[0].options) << entry.name;
    EXPECT_TRUE(again == model) << entry.name;
    seen.insert(entry.code);
  }
  EXPECT_EQ(seen.size(), 86U);
  EXPECT_EQ(tflite::op_name(static_cast<OpCode>(199)), "STABLEHLO_SORT");
  EXPECT_EQ(tflite::op_name(static_cast<OpCode>(999)), "operator 999");
}

// A pair of dimensions that were swapped alike in reader and writer would pass the round trip.
TEST(Tflite, HeightAndWidthStandInTheirOwnFields) {
  Model model = one_operator(OpCode::kMaxPool2d, 1);
  set_pool(model.operators[0].options);
  const std::vector<uint8_t> bytes = tflite::serialize(model);
  const auto* op = tflite::fb::GetModel(bytes.data())->subgraphs()->Get(0)->operators()->Get(0);
  const auto* table = reinterpret_cast<const flatbuffers::Table*>(op->builtin_options());
  EXPECT_EQ(table->GetField<int32_t>(6, 0), 3);   // field 1: stride_w
  EXPECT_EQ(table->GetField<int32_t>(8, 0), 2);   // field 2: stride_h
  EXPECT_EQ(table->GetField<int32_t>(10, 0), 7);  // field 3: filter_width
  EXPECT_EQ(table->GetField<int32_t>(12, 0), 6);  // field 4: filter_height
  EXPECT_EQ(op->builtin_options_type(), 5);
}

TEST(Tflite, KeepsSignatureMetadataDescriptionAndAllTypes) {
  Model model = one_operator(OpCode::kConv2d, 3);
  model.operators[0].inputs[2] = -1;
  model.inputs = {0, 2};
  model.tensors[1] = constant("weight", {2, 1, 1, 3}, {1, 2, 3, 4, 5, 255});
  model.tensors[1].quantization = {{0.25F, 0.125F}, {0, 0}, 0};
  model.description = "made by a test";
  model.signature_inputs = {{"image", 0}, {"other", 2}};
  model.signature_outputs = {{"scores", 3}};
  model.metadata = {{"min_runtime_version", std::string("1.5.0\0\0\0", 8)}, {"octet", "{}"}, {"empty", ""}};
  for (const Type type : {Type::kFloat32, Type::kInt32, Type::kUInt8, Type::kInt64, Type::kBool, Type::kInt16}) {
    Tensor tensor;
    tensor.name = tflite::type_name(type);
    tensor.type = type;
    tensor.shape = {3};
    tensor.is_constant = true;
    tensor.data.resize(3 * tflite::type_size(type), 1);
    model.tensors.push_back(tensor);
  }
  Tensor scalar_shape;
  scalar_shape.name = "shape of a scalar";
  scalar_shape.type = Type::kInt32;
  scalar_shape.shape = {0};
  scalar_shape.is_constant = true;
  model.tensors.push_back(scalar_shape);
  model.tensors.push_back(constant("scalar", {}, {9}));
  EXPECT_TRUE(read_bytes(tflite::serialize(model)) == model);

  const test::TemporaryFolder folder;
  tflite::write(model, folder.file("model.tflite"));
  EXPECT_TRUE(tflite::read(folder.file("model.tflite")) == model);
  const std::vector<uint8_t> bytes = tflite::serialize(model);
  EXPECT_EQ(tflite::fb::GetModel(bytes.data())->signature_defs()->Get(0)->signature_key()->str(), "serving_default");
}

TEST(Tflite, EqualConstantsShareABuffer) {
  Model model = one_operator(OpCode::kAdd, 2);
  for (int i = 0; i < 20; ++i) {
    model.tensors.push_back(constant("c", {4096}, std::vector<uint8_t>(4096, i < 4 ? 1 : 2)));
  }
  const std::vector<uint8_t> bytes = tflite::serialize(model);
  EXPECT_LT(bytes.size(), 4U * 4096);  // one buffer for the first four, two for the sixteen others
  EXPECT_GT(bytes.size(), 3U * 4096);
  EXPECT_TRUE(read_bytes(bytes) == model);
}

TEST(Tflite, RefusesToWriteWhatContradictsItself) {
  const auto refuses = [](const std::function<void(Model&)>& edit, const std::string& message) {
    Model model = one_operator(OpCode::kConv2d, 3);
    model.tensors[1] = constant("weight", {2, 1, 1, 3}, std::vector<uint8_t>(6));
    model.inputs = {0, 2};
    EXPECT_TRUE(read_bytes(tflite::serialize(model)) == model);
    edit(model);
    return fails_with([&] { tflite::serialize(model); }, message);
  };
  EXPECT_TRUE(refuses([](Model& m) { m.tensors[1].data.pop_back(); },
                      "[model: tensor 1 'weight'] bytes of data: expected 6, got 5"));
  EXPECT_TRUE(refuses([](Model& m) { m.tensors[0].data = {1}; }, "has data, but is no constant"));
  EXPECT_TRUE(refuses([](Model& m) { m.tensors[0].type = static_cast<Type>(10); },
                      "is of a type that octet does not read: float64"));
  EXPECT_TRUE(refuses([](Model& m) { m.tensors[0].shape[1] = int64_t{1} << 31; }, "is absurd"));
  EXPECT_TRUE(refuses([](Model& m) { m.operators[0].options.beta = 2; }, "an option set that this operator lacks"));
  EXPECT_TRUE(refuses([](Model& m) { m.operators[0].options.beta = NAN; }, "not a finite number"));
  EXPECT_TRUE(refuses([](Model& m) { m.operators[0].code = static_cast<OpCode>(199); },
                      "[model: operator 0 STABLEHLO_SORT] is not one that octet knows"));
  EXPECT_TRUE(refuses([](Model& m) { m.operators[0].version = 0; }, "version: expected at least 1, got 0"));
  EXPECT_TRUE(refuses([](Model& m) { m.operators[0].inputs[0] = 3; }, "nothing before it computes tensor 3 't3'"));
  EXPECT_TRUE(refuses([](Model& m) { m.operators.push_back(m.operators[0]); }, "has its value from elsewhere"));
  EXPECT_TRUE(refuses([](Model& m) { m.operators[0].outputs.push_back(2); }, "outputs: expected 1, got 2"));
  EXPECT_TRUE(refuses([](Model& m) { m.signature_inputs = {{"x", 3}}; }, "signature 'x'] tensor 3 is no input"));
  EXPECT_TRUE(refuses([](Model& m) { m.signature_outputs = {{"y", 99}}; }, "signature 'y'] tensor 99 is no output"));
  const test::TemporaryFolder folder;
  EXPECT_TRUE(fails_with([&] { tflite::write(one_operator(OpCode::kSlice, 2), folder.file("m.tflite")); },
                         "m.tflite: operator 0 SLICE] inputs: expected 3, got 2"));
  EXPECT_FALSE(fs::exists(folder.file("m.tflite")));
}

}  // namespace
}  // namespace octet
