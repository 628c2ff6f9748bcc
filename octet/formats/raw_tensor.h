#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "octet/formats/zip.h"
#include "octet/support/budget.h"

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
  auto operator<=>(const StridedView&) const = default;
};

/// The tensors of one file, which share storages. A view that is seen twice is one tensor (tied weights); one that
/// covers its storage is the storage itself; every other one is a copy. Views may repeat elements (stride 0) and
/// overlap, so that their sizes alone claim any amount of memory: copies are charged to the file's budget.
class StorageTable {
 public:
  /// The budget outlives the table.
  explicit StorageTable(Budget& budget) : budget_(budget) {}

  /// Gives the storage's bytes, uint8[N].
  using Load = std::function<at::Tensor()>;

  /// The tensor of a view of the storage `key`, which is loaded once. Throws octet::Error naming `where` for a view
  /// that reaches past the storage, absurd sizes, or copies beyond the budget.
  at::Tensor tensor(const std::string& key, const StridedView& view, const std::string& where, const Load& load);

 private:
  struct Storage {
    at::Tensor bytes;
    std::map<StridedView, at::Tensor> tensors;
  };
  at::Tensor make(const at::Tensor& storage, const StridedView& view, uint64_t bytes);

  Budget& budget_;
  std::unordered_map<std::string, Storage> storages_;
};

/// A member's bytes as uint8[N], charged to the archive's budget.
at::Tensor read_storage(const ZipReader& zip, const ZipEntry& entry);
/// What a name such as "features.0.conv.weight" costs, charged: every part of it may become a module.
void charge_name(Budget& budget, const std::string& dotted);

/// The tensor as files keep it with its strides: on the CPU, the whole of its own storage, no element twice. A copy
/// where it is not so already. Throws octet::Error naming `where` for a tensor that has no plain memory (sparse).
at::Tensor as_whole_storage(const at::Tensor& tensor, const std::string& where);
/// The bytes of the storage of such a tensor.
std::string_view storage_bytes_of(const at::Tensor& tensor);

/// A tensor's elements in C order, as bytes. `keep` holds the memory.
std::string_view contiguous_bytes(const at::Tensor& tensor, at::Tensor& keep);

}  // namespace octet
