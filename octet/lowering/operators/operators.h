#pragma once

#include "octet/lowering/clip.h"
#include "octet/lowering/operator_lowering.h"

/// How each operator of the table (rule.cpp) becomes TFLite's. Every function gives its node a value.
namespace octet::lowering {

/// The node's value is this tensor, whose axes are in the graph's order: transposed where the result is kept as NHWC.
void give_as_given(OperatorLowering& op, ValueId tensor);

// products.cpp
void lower_convolution(OperatorLowering& op);
void lower_transposed_convolution(OperatorLowering& op);
void lower_linear(OperatorLowering& op);
void lower_addmm(OperatorLowering& op);
void lower_matmul(OperatorLowering& op);
void lower_prelu(OperatorLowering& op);

// elementwise.cpp
void lower_add(OperatorLowering& op);
void lower_sub(OperatorLowering& op);
void lower_pow(OperatorLowering& op);
void lower_reciprocal(OperatorLowering& op);
void lower_square(OperatorLowering& op);
void lower_ceil(OperatorLowering& op);
void lower_neg(OperatorLowering& op);
void lower_clip(OperatorLowering& op);
/// RELU, RELU6, ... where the bounds are those of one.
std::optional<tflite::OpCode> activation_of(const ActivationBounds& bounds);
void lower_leaky_relu(OperatorLowering& op);
void lower_gelu(OperatorLowering& op);
void lower_softmax(OperatorLowering& op);
void lower_log_softmax(OperatorLowering& op);

/// One TFLite operator, its input as it is.
template <tflite::OpCode code>
void lower_unary(OperatorLowering& op) {
  op.emit(code, {op.input()});
}

/// One TFLite operator of two inputs, which are brought to one rank.
template <tflite::OpCode code>
void lower_binary(OperatorLowering& op) {
  op.emit(code, {op.operand("self"), op.operand("other")});
}

// composed.cpp: what takes several operators, in float.
void lower_silu(OperatorLowering& op);
void lower_hardsigmoid(OperatorLowering& op);
void lower_batch_norm(OperatorLowering& op);
void lower_layer_norm(OperatorLowering& op);
void lower_group_norm(OperatorLowering& op);
void lower_instance_norm(OperatorLowering& op);
void lower_rms_norm(OperatorLowering& op);
void lower_log_sum_exp(OperatorLowering& op);

// windows.cpp
void lower_max_pool(OperatorLowering& op);
void lower_average_pool(OperatorLowering& op);
void lower_adaptive_average_pool(OperatorLowering& op);
void lower_resize_bilinear(OperatorLowering& op);
void lower_resize_nearest(OperatorLowering& op);
void lower_resize_by_places(OperatorLowering& op);

// reductions.cpp
template <tflite::OpCode code>
void lower_reduction(OperatorLowering& op);
void lower_sum_of_all(OperatorLowering& op);
void lower_vector_norm(OperatorLowering& op);
void lower_product_of_all(OperatorLowering& op);
void lower_cumulative_product(OperatorLowering& op);

// moves.cpp
void lower_alias(OperatorLowering& op);
void lower_concatenation(OperatorLowering& op);
void lower_reshape(OperatorLowering& op);
void lower_permutation(OperatorLowering& op);
void lower_slice(OperatorLowering& op);
void lower_index_select(OperatorLowering& op);
void lower_select(OperatorLowering& op);
void lower_split(OperatorLowering& op);
void lower_unbind(OperatorLowering& op);
void lower_pad(OperatorLowering& op);
void lower_expand(OperatorLowering& op);
void lower_pixel_shuffle(OperatorLowering& op);
void lower_pixel_unshuffle(OperatorLowering& op);

}  // namespace octet::lowering
