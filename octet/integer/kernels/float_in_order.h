#pragma once

#include <ATen/core/Tensor.h>

#include "octet/integer/kernels/float_ops.h"

namespace octet::integer {

// Float32 as TFLite's reference kernels compute it, number by number and sum by sum in their order. What is quantized
// behind it is theirs to the bit; libtorch's sums take another order, and its exp, sqrt or tanh have other last bits.

/// Functions of each number by itself; `function` is the C library's, or made of its.
MakeFloat each(float (*function)(float));
/// 1 / (1 + exp(-x)), and exp(x) alone below -9: reference_ops::Logistic.
float logistic(float x);
/// x / 2 * erfc(-x / sqrt(2)), and the form with tanh: reference_ops::Gelu.
at::Tensor gelu(const at::Tensor& x, const tflite::Options& how);
/// base ^ exponent; the two broadcast.
at::Tensor power(const at::Tensor& base, const at::Tensor& exponent);

/// Over the last dimension: exponentials of what lies below the greatest, summed one after another.
at::Tensor softmax(const at::Tensor& x, const tflite::Options& how);
at::Tensor log_softmax(const at::Tensor& x);

/// [M, K] times [K, N], each sum in the order of K.
at::Tensor product(const at::Tensor& left, const at::Tensor& right);

}  // namespace octet::integer
