#pragma once

#include "octet/lowering/operator_lowering.h"

namespace octet::lowering {

// How operators that compare, choose and take by computed places become TFLite's, and what gives several results: as
// the functions of operators.h.

/// The value of a getitem, its axes in the graph's order: transposed where the element is kept as NHWC.
void give_element(OperatorLowering& op, const Node& element, ValueId value);

// choices.cpp

void emit_comparison(OperatorLowering& op, tflite::OpCode code);
void emit_logic(OperatorLowering& op, tflite::OpCode code);
void emit_place_of_extremum(OperatorLowering& op, tflite::OpCode code);
/// `code` is that of the values.
void emit_extremum(OperatorLowering& op, tflite::OpCode code);

template <tflite::OpCode code>
void lower_comparison(OperatorLowering& op) {
  emit_comparison(op, code);
}
template <tflite::OpCode code>
void lower_logic(OperatorLowering& op) {
  emit_logic(op, code);
}
template <tflite::OpCode code>
void lower_place_of_extremum(OperatorLowering& op) {
  emit_place_of_extremum(op, code);
}
template <tflite::OpCode code>
void lower_extremum(OperatorLowering& op) {
  emit_extremum(op, code);
}

void lower_where(OperatorLowering& op);
void lower_masked_fill(OperatorLowering& op);
void lower_is_nan(OperatorLowering& op);
void lower_nan_to_num(OperatorLowering& op);
void lower_cast(OperatorLowering& op);
void lower_filled(OperatorLowering& op);
void lower_counted(OperatorLowering& op);
void lower_rounded_division(OperatorLowering& op);
void lower_remainder(OperatorLowering& op);
void lower_power(OperatorLowering& op);
void lower_clamp_by_tensors(OperatorLowering& op);
void lower_topk(OperatorLowering& op);
void lower_sort(OperatorLowering& op);
void lower_cumulative_sum(OperatorLowering& op);
void lower_repeat(OperatorLowering& op);
void lower_flip(OperatorLowering& op);

// places.cpp
void lower_embedding(OperatorLowering& op);
void lower_embedding_bag(OperatorLowering& op);
void lower_gather(OperatorLowering& op);
void lower_index(OperatorLowering& op);
void lower_scatter_of_number(OperatorLowering& op);
void lower_scatter(OperatorLowering& op);
void lower_index_copy(OperatorLowering& op);
void lower_index_put(OperatorLowering& op);
void lower_one_hot(OperatorLowering& op);

// functions.cpp: functions of one number by their name, and of two.
void lower_function(OperatorLowering& op);
void lower_fmod(OperatorLowering& op);
void lower_angle(OperatorLowering& op);
void lower_atan2(OperatorLowering& op);
void lower_cosine_similarity(OperatorLowering& op);
void lower_pairwise_distance(OperatorLowering& op);
void lower_distances(OperatorLowering& op);

// recurrent.cpp
void lower_recurrent(OperatorLowering& op);

// sampling.cpp
void lower_grid_sampler(OperatorLowering& op);
void lower_affine_grid(OperatorLowering& op);

}  // namespace octet::lowering
