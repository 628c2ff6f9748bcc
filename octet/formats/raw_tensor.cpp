#include "octet/formats/raw_tensor.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "octet/formats/dtype.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr uint64_t kTensorBytes = 512;  // of a tensor beside its data, with its view in the table
constexpr uint64_t kModuleBytes = 1024;

// Any byte of a file may be anything; a bool that is neither 0 nor 1 is undefined behaviour.
void normalize_bools(void* data, uint64_t size) {
  auto* bytes = static_cast<unsigned char*>(data);
  for (uint64_t i = 0; i < size; ++i) bytes[i] = bytes[i] != 0;
}

// Bytes of the view's elements, all of which lie in the storage.
uint64_t checked_view_bytes(const StridedView& view, uint64_t capacity, const std::string& where) {
  if (view.strides.size() != view.sizes.size()) {
    throw expected(where, "strides", str(view.sizes.size()), std::to_string(view.strides.size()));
  }
  const uint64_t bytes = checked_bytes(view.sizes, view.dtype, where);
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
  return bytes;
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

at::Tensor read_storage(const ZipReader& zip, const ZipEntry& entry) {
  zip.budget()->charge(entry.size, "what it holds");
  at::Tensor bytes = at::empty({static_cast<int64_t>(entry.size)}, at::TensorOptions(at::kByte));
  zip.read_into(entry, bytes.data_ptr());
  return bytes;
}

void charge_name(Budget& budget, const std::string& dotted) {
  const auto modules = static_cast<uint64_t>(std::count(dotted.begin(), dotted.end(), '.'));
  budget.charge(modules, kModuleBytes, "the modules that its names ask for");
}

at::Tensor StorageTable::tensor(const std::string& key, const StridedView& view, const std::string& where,
                                const Load& load) {
  Storage& storage = storages_[key];
  if (const auto seen = storage.tensors.find(view); seen != storage.tensors.end()) return seen->second;
  if (!storage.bytes.defined()) storage.bytes = load();
  budget_.charge(kTensorBytes, "its tensors");
  const uint64_t bytes = checked_view_bytes(view, storage.bytes.nbytes(), where);
  return storage.tensors[view] = make(storage.bytes, view, bytes);
}

at::Tensor StorageTable::make(const at::Tensor& storage, const StridedView& view, uint64_t bytes) {
  if (bytes == 0) return at::empty(view.sizes, at::TensorOptions(view.dtype));
  const bool is_bool = view.dtype == at::kBool;  // only bytes until they are known to be 0 or 1
  at::Tensor tensor = at::empty({0}, at::TensorOptions(is_bool ? at::kByte : view.dtype));
  tensor.set_(storage.storage(), view.offset, view.sizes, view.strides);
  if (bytes != storage.nbytes() || !tensor.is_non_overlapping_and_dense()) {
    budget_.charge(bytes, "tensors that repeat what it holds");
    tensor = tensor.clone();
  }
  if (!is_bool) return tensor;
  normalize_bools(tensor.data_ptr(), tensor.nbytes());
  at::Tensor bools = at::empty({0}, at::TensorOptions(at::kBool));
  bools.set_(tensor.storage(), tensor.storage_offset(), tensor.sizes(), tensor.strides());
  return bools;
}

at::Tensor as_whole_storage(const at::Tensor& tensor, const std::string& where) {
  if (tensor.layout() != at::kStrided || tensor.is_quantized()) {
    throw Error(where, octet::str("holds a tensor of layout ", tensor.layout(), ", which cannot be written"));
  }
  const at::Tensor plain = tensor.detach().to(at::kCPU).resolve_conj().resolve_neg();
  const bool whole =
      plain.storage_offset() == 0 && plain.is_non_overlapping_and_dense() && plain.nbytes() == plain.storage().nbytes();
  return whole ? plain : plain.clone();
}

std::string_view storage_bytes_of(const at::Tensor& tensor) {
  return {static_cast<const char*>(tensor.storage().data()), tensor.nbytes()};
}

std::string_view contiguous_bytes(const at::Tensor& tensor, at::Tensor& keep) {
  keep = tensor.detach().to(at::kCPU).contiguous();
  return {static_cast<const char*>(keep.const_data_ptr()), keep.nbytes()};
}

}  // namespace octet
