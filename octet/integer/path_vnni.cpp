#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include "octet/integer/path.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#endif

#include "octet/integer/unsigned_products.h"
#include "octet/integer/vnni_vector.h"

namespace octet::integer {

const PathOps& vnni_ops() {
  static const PathOps ops = ops_of_unsigned<Vnni>();
  return ops;
}

}  // namespace octet::integer

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
