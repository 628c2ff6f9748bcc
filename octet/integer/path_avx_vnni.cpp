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
#include "octet/integer/unsigned_products.h"

namespace octet::integer {
namespace {

struct AvxVnni : Avx2 {
  static constexpr int kWeightBytes = 32;
  static Int load_weights(const uint8_t* from) { return load_bytes(from); }
  // Unsigned x by signed w.
  static Int add_products(Int sums, Int x, Int w) { return _mm256_dpbusd_avx_epi32(sums, x, w); }
  static Int add_products_16(Int sums, Int x, Int w) { return _mm256_dpwssd_avx_epi32(sums, x, w); }
};

struct AsAvx2 {
  static void requantize(const int32_t* sums, const Requantization& how, int64_t first, int64_t count, int8_t* to) {
    avx2_ops().requantize(sums, how, first, count, to);
  }
  static void add(const SumOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
    avx2_ops().add(how, x, y, z, count);
  }
  static void multiply(const ProductOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
    avx2_ops().multiply(how, x, y, z, count);
  }
};

}  // namespace

const PathOps& avx_vnni_ops() {
  static const PathOps ops = ops_of_unsigned<AvxVnni, AsAvx2>();
  return ops;
}

}  // namespace octet::integer

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
