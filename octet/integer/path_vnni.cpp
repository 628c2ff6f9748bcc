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
#include "octet/integer/vnni_integers.h"
#include "octet/integer/vnni_vector.h"

namespace octet::integer {
namespace {

// The table fills four registers, two of which one permutation reads.
__attribute__((target("avx512vbmi"))) void look_up_in_registers(const int8_t* table, const int8_t* x, int8_t* y,
                                                                int64_t count) {
  constexpr int64_t kBytes = 64;
  const __m512i a = _mm512_loadu_si512(table), b = _mm512_loadu_si512(table + kBytes);
  const __m512i c = _mm512_loadu_si512(table + 2 * kBytes), d = _mm512_loadu_si512(table + 3 * kBytes);
  for (int64_t i = 0; i < count; i += kBytes) {
    const __mmask64 some = count - i >= kBytes ? ~__mmask64{0} : (__mmask64{1} << (count - i)) - 1;
    const __m512i at = _mm512_maskz_loadu_epi8(some, x + i);
    const __m512i lower = _mm512_permutex2var_epi8(a, at, b), upper = _mm512_permutex2var_epi8(c, at, d);
    _mm512_mask_storeu_epi8(y + i, some, _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), lower, upper));
  }
}

PathOps all_ops() {
  PathOps ops = ops_of_unsigned<Vnni, InIntegers>();
  if (__builtin_cpu_supports("avx512vbmi")) ops.look_up = look_up_in_registers;
  return ops;
}

}  // namespace

const PathOps& vnni_ops() {
  static const PathOps ops = all_ops();
  return ops;
}

}  // namespace octet::integer

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
