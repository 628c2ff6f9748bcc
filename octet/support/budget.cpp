#include "octet/support/budget.h"

#include <limits>

#include "octet/support/error.h"

namespace octet {

Budget::Budget(std::string file, uint64_t size, uint64_t free) : file_(std::move(file)), size_(size) {
  if (__builtin_mul_overflow(size, limits::kMemoryPerByte, &limit_) || __builtin_add_overflow(limit_, free, &limit_)) {
    limit_ = std::numeric_limits<uint64_t>::max();
  }
}

void Budget::charge(uint64_t count, uint64_t each, const char* what) {
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(count, each, &bytes)) bytes = std::numeric_limits<uint64_t>::max();
  charge(bytes, what);
}

void Budget::refuse(uint64_t bytes, const char* what) const {
  throw Error(file_, str("is refused: ", what, " would take ", bytes, " bytes of memory beside ", used_,
                         " before it; a file of ", size_, " bytes may take ", limit_));
}

}  // namespace octet
