#include "octet/integer/dot.h"

namespace octet::integer {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__)
#define OCTET_CLONES __attribute__((target_clones("default", "avx2", "arch=icelake-server")))
#else
#define OCTET_CLONES
#endif

OCTET_CLONES int32_t dot(const int8_t* a, const int8_t* b, int64_t count) {
  uint32_t sum = 0;  // unsigned: wrapping is defined
  for (int64_t i = 0; i < count; ++i) {
    sum += static_cast<uint32_t>(static_cast<int32_t>(a[i]) * static_cast<int32_t>(b[i]));
  }
  return static_cast<int32_t>(sum);
}

}  // namespace octet::integer
