#include "octet/formats/pt2_codes.h"

#include <array>
#include <utility>

namespace octet::pt2 {
namespace {

constexpr std::array kDtypeCodes = {
    std::pair{int64_t{1}, at::kByte},
    std::pair{int64_t{2}, at::kChar},
    std::pair{int64_t{3}, at::kShort},
    std::pair{int64_t{4}, at::kInt},
    std::pair{int64_t{5}, at::kLong},
    std::pair{int64_t{6}, at::kHalf},
    std::pair{int64_t{7}, at::kFloat},
    std::pair{int64_t{8}, at::kDouble},
    std::pair{int64_t{9}, at::kComplexHalf},
    std::pair{int64_t{10}, at::kComplexFloat},
    std::pair{int64_t{11}, at::kComplexDouble},
    std::pair{int64_t{12}, at::kBool},
    std::pair{int64_t{13}, at::kBFloat16},
    std::pair{int64_t{28}, at::kUInt16},
    std::pair{int64_t{29}, at::kFloat8_e4m3fn},
    std::pair{int64_t{30}, at::kFloat8_e5m2},
    std::pair{int64_t{31}, at::kFloat8_e4m3fnuz},
    std::pair{int64_t{32}, at::kFloat8_e5m2fnuz},
    std::pair{int64_t{34}, at::kUInt32},
    std::pair{int64_t{35}, at::kUInt64},
};

constexpr int64_t kLastLegacyDtype = 28;  // uint16; schema 8.2 ends with it

constexpr std::array kMemoryFormatCodes = {
    std::pair{int64_t{1}, at::MemoryFormat::Contiguous},
    std::pair{int64_t{2}, at::MemoryFormat::ChannelsLast},
    std::pair{int64_t{3}, at::MemoryFormat::ChannelsLast3d},
    std::pair{int64_t{4}, at::MemoryFormat::Preserve},
};

template <typename Table, typename Value>
std::optional<int64_t> code_in(const Table& table, Value wanted) {
  for (const auto& [code, value] : table) {
    if (value == wanted) return code;
  }
  return std::nullopt;
}

template <typename Value, typename Table>
std::optional<Value> value_in(const Table& table, int64_t wanted) {
  for (const auto& [code, value] : table) {
    if (code == wanted) return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<at::ScalarType> dtype_of_code(int64_t code) { return value_in<at::ScalarType>(kDtypeCodes, code); }
std::optional<int64_t> code_of_dtype(at::ScalarType dtype, const SchemaVersion& version) {
  const std::optional<int64_t> code = code_in(kDtypeCodes, dtype);
  return code && (version.is_current() || *code <= kLastLegacyDtype) ? code : std::nullopt;
}
std::optional<at::MemoryFormat> memory_format_of_code(int64_t code) {
  return value_in<at::MemoryFormat>(kMemoryFormatCodes, code);
}
std::optional<int64_t> code_of_memory_format(at::MemoryFormat format) { return code_in(kMemoryFormatCodes, format); }

}  // namespace octet::pt2
