#pragma once

#include "octet/formats/tflite_table.h"
#include "octet/integer/kernels/float_ops.h"

namespace octet::integer {

/// Throws octet::Error for types that the operator does not take, and shapes that do not fit.
using MakeKernel = Kernel (*)(const KernelContext& context);

/// The kernels of an operator: of values of any type where it only moves them, otherwise of int8 and of float32 ones.
struct KernelRow {
  tflite::OpCode code;
  MakeKernel any_type = nullptr;
  MakeKernel int8 = nullptr;  ///< nullptr: it has none
  MakeFloat float32;          ///< empty: it has none
  size_t indices = SIZE_MAX;  ///< of float32: the input that is no number to compute with: axes, sizes, an output shape
  bool on_whole_numbers = false;  ///< what computes float32 computes int32 and int64 too
  bool elementwise = false;       ///< of inputs of one shape, each place by itself
};

/// A row for each operator of `.tflite`.
const tflite::OpTable<KernelRow>& kernel_table();

}  // namespace octet::integer
