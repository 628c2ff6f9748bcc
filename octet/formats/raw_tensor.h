#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>
#include <vector>

namespace octet {

/// A contiguous tensor that owns a copy of these bytes (little-endian). Throws octet::Error naming `where` unless the
/// bytes are exactly as many as sizes and type ask for.
at::Tensor tensor_from_bytes(std::string_view bytes, const std::vector<int64_t>& sizes, at::ScalarType dtype,
                             const std::string& where);

/// How a tensor lies in its storage, in elements.
struct StridedView {
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
  int64_t offset = 0;
  bool operator==(const StridedView&) const = default;
};

/// The view's tensor, with memory of its own: `storage` (uint8[N]) itself where the view covers it all, else a copy.
/// Throws octet::Error naming `where` where the view reaches past the storage or its sizes are absurd.
at::Tensor tensor_from_storage(const at::Tensor& storage, const StridedView& view, const std::string& where);

/// uint8[size]: memory to read a storage into.
at::Tensor empty_storage(uint64_t size);

/// A tensor's elements in C order, as bytes. `keep` holds the memory.
std::string_view contiguous_bytes(const at::Tensor& tensor, at::Tensor& keep);

}  // namespace octet
