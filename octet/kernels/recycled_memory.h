#pragma once

#include "octet/support/api.h"

namespace octet {

/// While one stands in a thread, the large CPU tensors that this thread makes are made in memory of such tensors that
/// were freed before. A training step frees and makes the same sizes over and over, and what the system gives anew it
/// clears page by page, which costs as much as a pass of the arithmetic. Free neighbours are joined, and cut for what
/// is smaller, so that hardly more is held than was in use at some time.
///
/// The first one puts an allocator in front of libtorch's, which passes all other requests on.
class OCTET_API RecycledMemory {
 public:
  RecycledMemory();
  ~RecycledMemory();
  RecycledMemory(const RecycledMemory&) = delete;
  RecycledMemory& operator=(const RecycledMemory&) = delete;
};

/// Gives what is kept back to the system: once a training is over.
OCTET_API void release_recycled_memory();

}  // namespace octet
