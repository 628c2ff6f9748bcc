#include "octet/formats/onnx/wire.h"

#include <algorithm>
#include <cstring>

namespace octet::onnx {

namespace {

constexpr uint32_t kMostFields = (1U << 29) - 1;  // protobuf's own limit

}  // namespace

bool WireReader::next() {
  if (rest_.empty()) return false;
  const uint64_t tag = take_varint(rest_);
  if (tag >> 3 == 0 || tag >> 3 > kMostFields) refuse("a field has no number");
  number_ = static_cast<uint32_t>(tag >> 3);
  type_ = static_cast<WireType>(tag & 7);
  size_t width = 0;
  switch (type_) {
    case kVarint:
      value_ = take_varint(rest_);
      return true;
    case kBytes: {
      const uint64_t size = take_varint(rest_);
      if (size > rest_.size()) refuse("ends early");
      bytes_ = rest_.substr(0, static_cast<size_t>(size));
      rest_.remove_prefix(static_cast<size_t>(size));
      return true;
    }
    case kFixed64:
      width = 8;
      break;
    case kFixed32:
      width = 4;
      break;
    default:
      refuse("a field is of a kind that ONNX lacks");
  }
  if (width > rest_.size()) refuse("ends early");
  value_ = fixed(rest_.substr(0, width));
  rest_.remove_prefix(width);
  return true;
}

std::string_view WireReader::bytes() const {
  require(type_ == kBytes);
  return bytes_;
}

int64_t WireReader::integer() const {
  require(type_ == kVarint);
  return static_cast<int64_t>(value_);
}

float WireReader::number32() const {
  require(type_ == kFixed32);
  const auto bits = static_cast<uint32_t>(value_);
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

uint64_t WireReader::count_integers() const {
  if (!holds_bytes()) return 1;
  return static_cast<uint64_t>(
      std::count_if(bytes_.begin(), bytes_.end(), [](char c) { return (static_cast<uint8_t>(c) & 0x80U) == 0; }));
}

uint64_t WireReader::count_fixed(size_t width) const { return holds_bytes() ? bytes_.size() / width : 1; }

std::optional<uint64_t> WireReader::varint(std::string_view& from) {
  uint64_t value = 0;
  for (size_t i = 0; i < std::min<size_t>(10, from.size()); ++i) {
    const auto byte = static_cast<uint8_t>(from[i]);
    value |= uint64_t{byte & 0x7fU} << (7 * i);
    if ((byte & 0x80U) != 0) continue;
    from.remove_prefix(i + 1);
    return value;
  }
  return std::nullopt;
}

uint64_t WireReader::take_varint(std::string_view& from) const {
  const std::optional<uint64_t> value = varint(from);
  if (!value) refuse(from.size() < 10 ? "ends early" : "a number has no end");
  return *value;
}

uint64_t WireReader::fixed(std::string_view bytes) {
  uint64_t bits = 0;
  for (size_t i = 0; i < bytes.size(); ++i) bits |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  return bits;
}

void WireReader::refuse(const char* what) const { throw Error(std::string(where_), str("is damaged: ", what)); }

}  // namespace octet::onnx
