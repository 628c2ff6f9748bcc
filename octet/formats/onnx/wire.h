#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "octet/support/error.h"

namespace octet::onnx {

/// Protobuf's wire format, field by field, over bytes that it does not own. Every read is checked, nothing is copied,
/// and a message within a message is a run of bytes for another reader: no recursion.
///
///     for (WireReader field(bytes, where); field.next();) {
///       if (field.number() == 1) name = field.bytes();
///     }
class WireReader {
 public:
  /// `where` names the message in errors.
  WireReader(std::string_view message, std::string_view where) : rest_(message), where_(where) {}

  /// Moves to the next field; false at the end. Throws octet::Error where the bytes are no field.
  bool next();
  uint32_t number() const { return number_; }
  /// True for a field that holds bytes: a text, a message, packed numbers.
  bool holds_bytes() const { return type_ == kBytes; }

  // The field's value; octet::Error where it is of another kind.
  std::string_view bytes() const;
  /// A varint as protobuf's int64 has it.
  int64_t integer() const;
  float number32() const;

  /// Calls `visit` for each number of a repeated field, packed or not: varints ...
  template <typename Visit>
  void for_each_integer(const Visit& visit) const {
    if (!holds_bytes()) return visit(integer());
    for (std::string_view packed = bytes_; !packed.empty();) visit(static_cast<int64_t>(take_varint(packed)));
  }
  /// ... or numbers of `width` bytes, 4 or 8, as their bits.
  template <typename Visit>
  void for_each_fixed(size_t width, const Visit& visit) const {
    if (!holds_bytes()) {
      require(type_ == (width == 4 ? kFixed32 : kFixed64));
      return visit(value_);
    }
    if (bytes_.size() % width != 0) refuse("packed numbers end early");
    for (size_t at = 0; at < bytes_.size(); at += width) visit(fixed(bytes_.substr(at, width)));
  }
  /// How many numbers a repeated field holds in this place.
  uint64_t count_integers() const;
  uint64_t count_fixed(size_t width) const;

  /// Takes a number off the front; nothing where there is none.
  static std::optional<uint64_t> varint(std::string_view& from);

 private:
  enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  uint64_t take_varint(std::string_view& from) const;
  static uint64_t fixed(std::string_view bytes);
  void require(bool holds) const {
    if (!holds) refuse("a field is of another kind than ONNX has it");
  }
  [[noreturn]] void refuse(const char* what) const;

  std::string_view rest_;
  std::string_view where_;
  uint32_t number_ = 0;
  WireType type_ = kVarint;
  uint64_t value_ = 0;
  std::string_view bytes_;
};

}  // namespace octet::onnx
