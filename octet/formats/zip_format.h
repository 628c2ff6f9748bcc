#pragma once

#include <cstdint>

namespace octet {

/// A 32-bit field of a zip that holds this stands in the entry's zip64 record.
inline constexpr uint32_t kFull32 = 0xffffffff;

}  // namespace octet
