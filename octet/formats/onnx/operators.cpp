#include "octet/formats/onnx/operators.h"

#include <algorithm>
#include <iterator>

namespace octet::onnx {
namespace {

constexpr size_t kAnyNumber = SIZE_MAX;

constexpr OperatorRow kRows[] = {
    // Convolutions and pools.
    {"Conv", build_conv, 2, 3},
    {"ConvTranspose", build_conv_transpose, 2, 3},
    {"MaxPool", build_max_pool},
    {"AveragePool", build_average_pool},
    {"GlobalAveragePool", build_global_average_pool},
    {"GlobalMaxPool", build_global_max_pool},

    // Products.
    {"Gemm", build_gemm, 2, 3},
    {"MatMul", build_mat_mul, 2, 2},
    {"Einsum", build_einsum, 1, kAnyNumber},

    // Norms.
    {"BatchNormalization", build_batch_normalization, 5, 5},
    {"LayerNormalization", build_layer_normalization, 2, 3},
    {"InstanceNormalization", build_instance_normalization, 3, 3},
    {"GroupNormalization", build_group_normalization, 3, 3},
    {"RMSNormalization", build_rms_normalization, 2, 2},
    {"LpNormalization", build_lp_normalization},

    // Activations.
    {"Relu", build_unary},
    {"Sigmoid", build_unary},
    {"Tanh", build_unary},
    {"HardSwish", build_unary},
    {"Softplus", build_unary},
    {"Softsign", build_unary},
    {"Mish", build_unary},
    {"Selu", build_unary},
    {"Clip", build_clip, 1, 3},
    {"LeakyRelu", build_leaky_relu},
    {"PRelu", build_prelu, 2, 2},
    {"Elu", build_elu},
    {"Celu", build_elu},
    {"HardSigmoid", build_hard_sigmoid},
    {"Gelu", build_gelu},
    {"Softmax", build_softmax},
    {"LogSoftmax", build_softmax},

    // Arithmetic of one value ...
    {"Abs", build_unary},
    {"Neg", build_unary},
    {"Sqrt", build_unary},
    {"Exp", build_unary},
    {"Log", build_unary},
    {"Reciprocal", build_unary},
    {"Erf", build_unary},
    {"Floor", build_unary},
    {"Ceil", build_unary},
    {"Round", build_unary},
    {"Sign", build_unary},
    {"Sin", build_unary},
    {"Cos", build_unary},
    {"Tan", build_unary},
    {"Atan", build_unary},
    {"Not", build_unary},
    {"IsNaN", build_unary},
    // ... and of several.
    {"Add", build_binary, 2, 2},
    {"Sub", build_binary, 2, 2},
    {"Mul", build_binary, 2, 2},
    {"Div", build_binary, 2, 2},
    {"Mod", build_binary, 2, 2},
    {"Pow", build_pow, 2, 2},
    {"Min", build_extremum, 1, kAnyNumber},
    {"Max", build_extremum, 1, kAnyNumber},
    {"Sum", build_sum, 1, kAnyNumber},
    {"Mean", build_sum, 1, kAnyNumber},
    {"Equal", build_comparison, 2, 2},
    {"Less", build_comparison, 2, 2},
    {"LessOrEqual", build_comparison, 2, 2},
    {"Greater", build_comparison, 2, 2},
    {"GreaterOrEqual", build_comparison, 2, 2},
    {"And", build_logical, 2, 2},
    {"Or", build_logical, 2, 2},
    {"Xor", build_logical, 2, 2},
    {"Where", build_where, 3, 3},
    {"Cast", build_cast},
    {"CastLike", build_cast, 2, 2},

    // Reductions.
    {"ReduceMean", build_reduction, 1, 2},
    {"ReduceSum", build_reduction, 1, 2},
    {"ReduceMax", build_reduction, 1, 2},
    {"ReduceMin", build_reduction, 1, 2},
    {"ReduceProd", build_reduction, 1, 2},
    {"ReduceL1", build_reduction, 1, 2},
    {"ReduceL2", build_reduction, 1, 2},
    {"ReduceSumSquare", build_reduction, 1, 2},
    {"ReduceLogSumExp", build_reduction, 1, 2},
    {"ArgMax", build_arg_extremum},
    {"ArgMin", build_arg_extremum},
    {"CumSum", build_cum_sum, 2, 2},
    {"TopK", build_top_k, 2, 2},

    // Shapes and places.
    {"Reshape", build_reshape, 2, 2},
    {"Flatten", build_flatten},
    {"Transpose", build_transpose},
    {"Squeeze", build_squeeze, 1, 2},
    {"Unsqueeze", build_unsqueeze, 2, 2},
    {"Expand", build_expand, 2, 2},
    {"Tile", build_tile, 2, 2},
    {"DepthToSpace", build_depth_to_space},
    {"SpaceToDepth", build_space_to_depth},
    {"Identity", build_identity},
    {"Dropout", build_dropout, 1, 3},
    {"Concat", build_concat, 1, kAnyNumber},
    {"Split", build_split, 1, 2},
    {"Slice", build_slice, 3, 5},
    {"Pad", build_pad, 2, 4},
    {"Gather", build_gather, 2, 2},
    {"GatherElements", build_gather_elements, 2, 2},
    {"Resize", build_resize, 1, 4},

    // Constants, and what follows from shapes.
    {"Constant", build_constant, 0, 0},
    {"ConstantOfShape", build_constant_of_shape},
    {"Shape", build_shape},
    {"Size", build_size},
    {"Range", build_range, 3, 3},
    {"Trilu", build_trilu, 1, 2},

    // Recurrent layers.
    {"GRU", build_gru, 3, 6},
    {"LSTM", build_lstm, 3, 8},
    {"RNN", build_rnn, 3, 6},

    // Grids.
    {"QuantizeLinear", build_quantize_linear, 2, 3},
    {"DequantizeLinear", build_dequantize_linear, 2, 3},
};

// Of these, Microsoft's domain has its own, the same but for types that ONNX took in later.
constexpr std::string_view kMicrosoft[] = {"QuantizeLinear", "DequantizeLinear", "Gelu"};

}  // namespace

const OperatorRow* find_operator(std::string_view domain, std::string_view name) {
  const bool own = domain.empty() || domain == "ai.onnx";
  const bool microsoft = domain == "com.microsoft" &&
                         std::find(std::begin(kMicrosoft), std::end(kMicrosoft), name) != std::end(kMicrosoft);
  if (!own && !microsoft) return nullptr;
  const auto* found =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const OperatorRow& row) { return row.name == name; });
  return found == std::end(kRows) ? nullptr : found;
}

}  // namespace octet::onnx
