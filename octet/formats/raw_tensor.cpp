#include "octet/formats/raw_tensor.h"

#include <ATen/ATen.h>

#include <cstring>

#include "octet/formats/dtype.h"
#include "octet/support/error.h"

namespace octet {
namespace {

// A view may repeat elements (stride 0), so its sizes alone may claim any amount of memory; this much is granted.
constexpr uint64_t kRepeatedBytes = uint64_t{16} << 20;

// Any byte of a file may be anything; a bool that is neither 0 nor 1 is undefined behaviour.
void normalize_bools(void* data, uint64_t size) {
  auto* bytes = static_cast<unsigned char*>(data);
  for (uint64_t i = 0; i < size; ++i) bytes[i] = bytes[i] != 0;
}

}  // namespace

at::Tensor tensor_from_bytes(std::string_view bytes, const std::vector<int64_t>& sizes, at::ScalarType dtype,
                             const std::string& where) {
  const uint64_t wanted = checked_bytes(sizes, dtype, where);
  if (wanted != bytes.size()) {
    throw expected(where, str("data for ", dtype_name(dtype), sizes_text(sizes)), str(wanted, " bytes"),
                   str(bytes.size()));
  }
  at::Tensor tensor = at::empty(sizes, at::TensorOptions(dtype));
  if (wanted > 0) std::memcpy(tensor.data_ptr(), bytes.data(), wanted);
  if (dtype == at::kBool) normalize_bools(tensor.data_ptr(), wanted);
  return tensor;
}

at::Tensor empty_storage(uint64_t size) {
  return at::empty({static_cast<int64_t>(size)}, at::TensorOptions(at::kByte));
}

at::Tensor tensor_from_storage(const at::Tensor& storage, const StridedView& view, const std::string& where) {
  if (view.strides.size() != view.sizes.size()) {
    throw expected(where, "strides", str(view.sizes.size()), std::to_string(view.strides.size()));
  }
  const uint64_t bytes = checked_bytes(view.sizes, view.dtype, where);
  const auto capacity = static_cast<uint64_t>(storage.numel());
  int64_t last = view.offset;  // the last element that the view reads
  bool overflow = view.offset < 0;
  for (size_t i = 0; i < view.sizes.size(); ++i) {
    if (view.strides[i] < 0) throw Error(where, str("has negative strides: ", sizes_text(view.strides)));
    int64_t reach = 0;
    if (view.sizes[i] == 0) continue;
    overflow = overflow || __builtin_mul_overflow(view.sizes[i] - 1, view.strides[i], &reach) ||
               __builtin_add_overflow(last, reach, &last);
  }
  const auto width = static_cast<int64_t>(c10::elementSize(view.dtype));
  int64_t end = 0;
  overflow = overflow || __builtin_add_overflow(last, int64_t{1}, &end) || __builtin_mul_overflow(end, width, &end);
  if (bytes > 0 && (overflow || static_cast<uint64_t>(end) > capacity)) {
    throw Error(where, str("reaches past the end of its data: ", dtype_name(view.dtype), sizes_text(view.sizes),
                           " with strides ", sizes_text(view.strides), " and offset ", view.offset, " in ", capacity,
                           " bytes"));
  }
  if (bytes > capacity && bytes > kRepeatedBytes) {
    throw Error(where, str("has absurd sizes: ", sizes_text(view.sizes), " for ", capacity, " bytes of data"));
  }
  if (bytes == 0) return at::empty(view.sizes, at::TensorOptions(view.dtype));
  if (view.dtype == at::kBool) normalize_bools(storage.data_ptr(), capacity);
  at::Tensor tensor = at::empty({0}, at::TensorOptions(view.dtype));
  tensor.set_(storage.storage(), view.offset, view.sizes, view.strides);
  const bool whole = bytes == capacity && tensor.is_non_overlapping_and_dense();
  return whole ? tensor : tensor.clone();
}

std::string_view contiguous_bytes(const at::Tensor& tensor, at::Tensor& keep) {
  keep = tensor.detach().to(at::kCPU).contiguous();
  return {static_cast<const char*>(keep.const_data_ptr()), keep.nbytes()};
}

}  // namespace octet
