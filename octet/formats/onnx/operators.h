#pragma once

#include <cstdint>
#include <string_view>

#include "octet/formats/onnx/step.h"

namespace octet::onnx {

/// Builds what the node is in ATen and gives its outputs.
using Build = void (*)(Step& step);

/// How one of ONNX's operators is read: its row of the table in operators.cpp.
struct OperatorRow {
  std::string_view name;
  Build build = nullptr;
  size_t least_inputs = 1;
  size_t most_inputs = 1;
};

/// The row of an operator of ONNX's own domain, or of Microsoft's for the few that octet takes from there; nullptr
/// where octet cannot read it.
const OperatorRow* find_operator(std::string_view domain, std::string_view name);

// --- the builders, a file a family; each is the row of the operator after which it is named

// convolutions.cpp
void build_conv(Step& step);
void build_conv_transpose(Step& step);
void build_max_pool(Step& step);
void build_average_pool(Step& step);
void build_global_average_pool(Step& step);
void build_global_max_pool(Step& step);

// products.cpp
void build_gemm(Step& step);
void build_mat_mul(Step& step);
void build_einsum(Step& step);

// norms.cpp
void build_batch_normalization(Step& step);
void build_layer_normalization(Step& step);
void build_instance_normalization(Step& step);
void build_group_normalization(Step& step);
void build_rms_normalization(Step& step);
void build_lp_normalization(Step& step);

// elementwise.cpp: of one value and of several
void build_unary(Step& step);
void build_clip(Step& step);
void build_leaky_relu(Step& step);
void build_prelu(Step& step);
void build_elu(Step& step);
void build_hard_sigmoid(Step& step);
void build_gelu(Step& step);
void build_softmax(Step& step);
void build_binary(Step& step);
void build_pow(Step& step);
void build_extremum(Step& step);
void build_sum(Step& step);
void build_comparison(Step& step);
void build_logical(Step& step);
void build_where(Step& step);
void build_cast(Step& step);

// reductions.cpp
void build_reduction(Step& step);
void build_arg_extremum(Step& step);
void build_cum_sum(Step& step);
void build_top_k(Step& step);

// shapes.cpp
void build_reshape(Step& step);
void build_flatten(Step& step);
void build_transpose(Step& step);
void build_squeeze(Step& step);
void build_unsqueeze(Step& step);
void build_expand(Step& step);
void build_tile(Step& step);
void build_depth_to_space(Step& step);
void build_space_to_depth(Step& step);
void build_identity(Step& step);
void build_dropout(Step& step);

// constants.cpp
void build_constant(Step& step);
void build_constant_of_shape(Step& step);
void build_shape(Step& step);
void build_size(Step& step);
void build_range(Step& step);
void build_trilu(Step& step);

// parts.cpp
void build_concat(Step& step);
void build_split(Step& step);
void build_slice(Step& step);
void build_pad(Step& step);
void build_gather(Step& step);
void build_gather_elements(Step& step);

// resizes.cpp
void build_resize(Step& step);

// recurrent.cpp
void build_gru(Step& step);
void build_lstm(Step& step);
void build_rnn(Step& step);

// quantized.cpp
void build_quantize_linear(Step& step);
void build_dequantize_linear(Step& step);

}  // namespace octet::onnx
