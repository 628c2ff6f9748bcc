#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <vector>

#include "octet/support/api.h"

namespace octet {

/// "float32", "int8", "bool": as PyTorch prints it without "torch.".
OCTET_API std::string dtype_name(at::ScalarType dtype);
/// The type of a name; throws octet::Error naming `where` for one that octet does not know.
OCTET_API at::ScalarType dtype_from_name(const std::string& name, const std::string& where);

/// Dimensions that a tensor of a file may have: what libtorch's kernels take.
inline constexpr size_t kMaxRank = 64;

/// Bytes of a contiguous tensor of these sizes. Throws octet::Error naming `where` for a negative size, for one whose
/// bytes don't fit in 63 bits, or for more than kMaxRank dimensions.
OCTET_API uint64_t checked_bytes(const std::vector<int64_t>& sizes, at::ScalarType dtype, const std::string& where);
/// "[1, 3, 32, 32]"
OCTET_API std::string sizes_text(const std::vector<int64_t>& sizes);

}  // namespace octet
