#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

namespace octet {

/// The buffer takes `value`'s shape and values and stays the same tensor, so that module and member never part.
inline void assign_buffer(at::Tensor& buffer, const at::Tensor& value) {
  const at::NoGradGuard no_grad;
  if (buffer.sizes() != value.sizes()) buffer.resize_(value.sizes());
  buffer.copy_(value);
}

}  // namespace octet
