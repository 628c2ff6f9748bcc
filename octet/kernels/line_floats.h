#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace octet {

/// Where lines of the cache begin: a register that is read at a multiple of its size never lies in two of them.
inline constexpr std::align_val_t kCacheLine{64};

struct LineFloatsDelete {
  void operator()(float* floats) const { ::operator delete(floats, kCacheLine); }
};
/// Floats that begin with a line of the cache, not initialized.
using LineFloats = std::unique_ptr<float[], LineFloatsDelete>;
inline LineFloats line_floats(int64_t count) {
  return LineFloats(static_cast<float*>(::operator new(static_cast<size_t>(count) * sizeof(float), kCacheLine)));
}

}  // namespace octet
