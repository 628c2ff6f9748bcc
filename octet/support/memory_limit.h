#pragma once

#include <cstdint>

#include "octet/support/api.h"

namespace octet {

/// Bytes that this process may still take before the machine, or the group of processes that it belongs to, has none
/// left; 0 where that can't be told.
OCTET_API uint64_t available_memory();

/// The most memory, in bytes, that this process held at some time; 0 where that can't be told.
OCTET_API uint64_t peak_memory();

/// From now on an allocation beyond what is available now fails, as an error that can be caught; without it, the system
/// ends the process, or another one. For programs: it holds for the whole process, and for those that it starts.
OCTET_API void limit_memory_to_available();

}  // namespace octet
