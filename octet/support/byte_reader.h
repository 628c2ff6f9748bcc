#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "octet/support/error.h"

namespace octet {

/// Reads little-endian numbers and byte runs from memory it doesn't own. Every read is checked: one that reaches past
/// the end throws octet::Error naming `where` and the offset, and moves nothing.
class ByteReader {
 public:
  /// `where` names the file or the entry in errors; `bytes` must outlive the reader.
  ByteReader(std::string where, std::string_view bytes) : where_(std::move(where)), bytes_(bytes) {}

  template <typename T>
  T read() {
    static_assert(std::is_arithmetic_v<T>);
    const std::string_view raw = bytes(sizeof(T));
    uint64_t bits = 0;
    for (size_t i = 0; i < sizeof(T); ++i) bits |= uint64_t{static_cast<uint8_t>(raw[i])} << (8 * i);
    if constexpr (std::is_floating_point_v<T>) {
      static_assert(sizeof(T) == 8 || sizeof(T) == 4);
      T value;
      if constexpr (sizeof(T) == 8) {
        std::memcpy(&value, &bits, sizeof(T));
      } else {
        const auto half = static_cast<uint32_t>(bits);
        std::memcpy(&value, &half, sizeof(T));
      }
      return value;
    } else {
      return static_cast<T>(bits);
    }
  }
  uint8_t u8() { return read<uint8_t>(); }
  uint16_t u16() { return read<uint16_t>(); }
  uint32_t u32() { return read<uint32_t>(); }
  uint64_t u64() { return read<uint64_t>(); }

  /// The next `count` bytes, as a view.
  std::string_view bytes(uint64_t count) {
    if (count > remaining()) {
      throw Error(where_, str("ends early: ", count, " bytes wanted at offset ", offset_, ", ", remaining(), " left"));
    }
    const std::string_view taken = bytes_.substr(offset_, static_cast<size_t>(count));
    offset_ += static_cast<size_t>(count);
    return taken;
  }
  /// The bytes up to `end`, which is read too but not returned.
  std::string_view until(char end) {
    const size_t at = bytes_.find(end, offset_);
    if (at == std::string_view::npos) throw Error(where_, str("ends early: a text at offset ", offset_, " has no end"));
    const std::string_view taken = bytes_.substr(offset_, at - offset_);
    offset_ = at + 1;
    return taken;
  }
  void skip(uint64_t count) { bytes(count); }
  void seek(uint64_t offset) {
    if (offset > bytes_.size()) {
      throw Error(where_, str("offset ", offset, " lies past the end (", bytes_.size(), " bytes)"));
    }
    offset_ = static_cast<size_t>(offset);
  }

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }
  bool at_end() const { return offset_ == bytes_.size(); }
  const std::string& where() const { return where_; }

 private:
  std::string where_;
  std::string_view bytes_;
  size_t offset_ = 0;
};

}  // namespace octet
