#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include "octet/integer/path.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avxvnni")
#endif

#include "octet/integer/avx2_vector.h"

namespace octet::integer {
namespace {

struct AvxVnni : Avx2 {
  static constexpr int kWeightBytes = 32;
  static Int load_weights(const uint8_t* from) { return load_bytes(from); }
  // Unsigned x by signed w.
  static Int add_products(Int sums, Int x, Int w) { return _mm256_dpbusd_avx_epi32(sums, x, w); }
  static Int add_products_16(Int sums, Int x, Int w) { return _mm256_dpwssd_avx_epi32(sums, x, w); }
};

// int8 + 128: the instruction takes unsigned activations.
void pack_unsigned(const int8_t* from, int64_t count, uint8_t* to) {
  int64_t i = 0;
  const __m256i top = _mm256_set1_epi8(-128);
  for (; i + 32 <= count; i += 32) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm256_xor_si256(x, top));
  }
  for (; i < count; ++i) to[i] = static_cast<uint8_t>(from[i] + 128);
}

void requantize_as_avx2(const int32_t* sums, const Requantization& how, int64_t first, int64_t count, int8_t* to) {
  avx2_ops().requantize(sums, how, first, count, to);
}

void add_as_avx2(const SumOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
  avx2_ops().add(how, x, y, z, count);
}

}  // namespace

const PathOps& avx_vnni_ops() {
  static const PathOps ops = {4,
                              kBlock,
                              wide::kMostRows,
                              1,
                              1,
                              128,
                              kBlock,
                              pack_unsigned,
                              wide::sums_of_tile<AvxVnni>,
                              wide::levels_of_tile<AvxVnni, requantize_as_avx2>,
                              requantize_as_avx2,
                              wide::depthwise<AvxVnni, requantize_as_avx2>,
                              wide::add<AvxVnni, add_as_avx2>,
                              avx2_ops().multiply,
                              nullptr};
  return ops;
}

}  // namespace octet::integer

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
