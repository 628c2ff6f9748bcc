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

/// A switch that is kept as a uint8 buffer.
inline bool is_set(const at::Tensor& flag) {
  return flag.is_cpu() ? *flag.const_data_ptr<uint8_t>() != 0 : flag.item<uint8_t>() != 0;
}

}  // namespace octet
