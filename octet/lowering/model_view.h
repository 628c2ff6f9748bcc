#pragma once

#include "octet/formats/tflite.h"

/// Questions to a program, and small edits of it.
namespace octet::lowering {

/// The operator that computes the tensor; nullptr for inputs and constants.
const tflite::Operator* producer(const tflite::Model& model, int32_t tensor);
tflite::Operator* producer(tflite::Model& model, int32_t tensor);
/// How often operators read it.
int64_t readers(const tflite::Model& model, int32_t tensor);
bool is_output(const tflite::Model& model, int32_t tensor);
/// Operators that read `from` read `to` instead.
void replace_reads(tflite::Model& model, int32_t from, int32_t to);

/// Elements of an int32 constant, and back.
std::vector<int64_t> integers_of(const tflite::Tensor& tensor);
std::vector<uint8_t> bytes_of(const std::vector<int64_t>& int32_values);

/// A constant with its axes in another order, its scales' axis with it.
tflite::Tensor transposed_constant(const tflite::Tensor& tensor, const std::vector<int64_t>& order);

}  // namespace octet::lowering
