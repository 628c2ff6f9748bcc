#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarTypeToTypeMeta.h>

namespace octet {

// A training step handles a range, a grid and their averages a layer: a few numbers each, of which an operator of ATen
// takes the time of a thousand. Where they lie plainly in this memory, they are read and written without one.

/// The values in memory, one behind the other; null where they are of another type, lie apart or elsewhere.
template <typename T>
const T* plain_values(const at::Tensor& x) {
  const bool is_plain = x.defined() && x.device().is_cpu() && x.layout() == at::kStrided &&
                        x.scalar_type() == c10::CppTypeToScalarType<T>::value && x.is_contiguous();
  return is_plain ? x.const_data_ptr<T>() : nullptr;
}

/// The first value.
template <typename T>
T first_value(const at::Tensor& x) {
  if (const T* values = plain_values<T>(x); values != nullptr && x.numel() > 0) return *values;
  return x.flatten()[0].item<T>();
}

}  // namespace octet
