#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <cstring>

#include "octet/kernels/small_tensors.h"

namespace octet {

/// The buffer takes `value`'s shape and values and stays the same tensor, so that module and member never part.
inline void assign_buffer(at::Tensor& buffer, const at::Tensor& value) {
  const at::NoGradGuard no_grad;
  if (buffer.sizes() != value.sizes()) buffer.resize_(value.sizes());
  const float* plain = plain_values<float>(value);
  if (plain != nullptr && plain_values<float>(buffer) != nullptr && !buffer.requires_grad()) {
    std::memmove(buffer.mutable_data_ptr<float>(), plain, buffer.nbytes());
    buffer.unsafeGetTensorImpl()->bump_version();
  } else {
    buffer.copy_(value);
  }
}

/// A switch that is kept as a uint8 buffer.
inline bool is_set(const at::Tensor& flag) { return first_value<uint8_t>(flag) != 0; }

}  // namespace octet
