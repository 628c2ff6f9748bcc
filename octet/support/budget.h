#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "octet/support/api.h"

namespace octet {

/// What files may ask of their readers. Every reader keeps these; docs/security.md lists them with their tests.
namespace limits {

inline constexpr uint64_t kFreeMemory = uint64_t{64} << 20;  ///< bytes that reading any file may take
inline constexpr uint64_t kMemoryPerByte = 24;               ///< bytes more for each byte that the file really has
inline constexpr uint64_t kText = uint64_t{64} << 20;        ///< bytes of one JSON document or pickle
inline constexpr uint64_t kConfig = uint64_t{1} << 20;       ///< bytes of a settings file
inline constexpr size_t kConfigDepth = 8;                    ///< levels of a settings file
inline constexpr uint64_t kExpression = uint64_t{64} << 10;  ///< characters of one symbolic size
inline constexpr size_t kDepth = 100;                        ///< levels of nested JSON, marks or brackets
inline constexpr uint64_t kHeader = uint64_t{1} << 20;       ///< bytes of a .npy file's header
inline constexpr size_t kTableDepth = 16;                    ///< levels of tables in a .tflite file
inline constexpr size_t kTables = 1'000'000;                 ///< tables in one
inline constexpr uint64_t kArchiveEntries = uint64_t{1} << 20;

}  // namespace limits

/// Bytes of memory that reading one file may take: so many for any file, and so many for each byte that it really has.
/// What a file says of itself (sizes after inflating, counts, lengths, how often it names the same data) buys nothing.
/// A reader charges what it is about to allocate, and never gives back: it is a bound, not a measurement.
class OCTET_API Budget {
 public:
  /// `file` is named in errors; `size` is what stands on the disk.
  Budget(std::string file, uint64_t size, uint64_t free = limits::kFreeMemory);

  /// Throws octet::Error naming the file, what was asked for and the limit where `bytes` more would go beyond it.
  void charge(uint64_t bytes, const char* what) {
    if (bytes > limit_ - used_) refuse(bytes, what);
    used_ += bytes;
  }
  /// For `count` things of `each` bytes.
  void charge(uint64_t count, uint64_t each, const char* what);

  uint64_t used() const { return used_; }
  uint64_t limit() const { return limit_; }

 private:
  [[noreturn]] void refuse(uint64_t bytes, const char* what) const;

  std::string file_;
  uint64_t size_;
  uint64_t limit_;
  uint64_t used_ = 0;
};

}  // namespace octet
