#pragma once

#include <c10/core/MemoryFormat.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>

namespace octet::pt2 {

/// Which fields a written program has. Major is 8.
struct SchemaVersion {
  int64_t minor = 20;
  /// Fields that came after torch 2.6 (8.2), which refuses them, and its ways: null for what is absent, texts for
  /// infinities.
  bool is_current() const { return minor > 2; }
};
inline constexpr SchemaVersion kCurrentSchema{20};
inline constexpr SchemaVersion kLegacySchema{2};

/// Key of a node's metadata under which octet keeps its name where the schema has no field for it: that of operators
/// whose results have names of their own. PyTorch ignores it.
inline constexpr const char* kNameKey = "octet_name";

// The numbers that a `.pt2` has for types and layouts, which are not c10's.

std::optional<at::ScalarType> dtype_of_code(int64_t code);
/// nullopt for types that this version of the format does not know.
std::optional<int64_t> code_of_dtype(at::ScalarType dtype, const SchemaVersion& version);
std::optional<at::MemoryFormat> memory_format_of_code(int64_t code);
std::optional<int64_t> code_of_memory_format(at::MemoryFormat format);
inline constexpr int64_t kStridedLayout = 7;

}  // namespace octet::pt2
