#pragma once

// What wide.h asks for, in 512 bits; included under its rules, and local to each source that does.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "octet/integer/wide.h"

namespace octet::integer {
namespace {

struct Vnni {
  using Int = __m512i;
  using Float = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kWeightBytes = 64;
  static constexpr int kMostVectors = 4;

  static Int zero() { return _mm512_setzero_si512(); }
  static Int load(const int32_t* from) { return _mm512_loadu_si512(from); }
  static Float load(const float* from) { return _mm512_loadu_ps(from); }
  static Int load_bytes(const uint8_t* from) { return _mm512_loadu_si512(from); }
  static Int load_weights(const uint8_t* from) { return load_bytes(from); }
  static void store(int32_t* to, Int x) { _mm512_storeu_si512(to, x); }
  static void store_bytes(int8_t* to, Int x) { _mm512_storeu_si512(to, x); }
  static void store_halves(Int x, int8_t* a, int8_t* b) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(a), _mm512_castsi512_si256(x));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(b), _mm512_extracti64x4_epi64(x, 1));
  }
  static void store_half_of_halves(Int x, int8_t* a, int8_t* b) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(a), _mm512_castsi512_si128(x));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(b), _mm512_extracti32x4_epi32(x, 2));
  }
  static void store_some_of_halves(Int x, int8_t* a, int8_t* b, int64_t count) {
    const __mmask32 some = (1U << count) - 1;  // count is at most 31
    _mm256_mask_storeu_epi8(a, some, _mm512_castsi512_si256(x));
    _mm256_mask_storeu_epi8(b, some, _mm512_extracti64x4_epi64(x, 1));
  }
  static void store_quarters(Int x, int8_t* to, int64_t stride) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_castsi512_si128(x));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + stride), _mm512_extracti32x4_epi32(x, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * stride), _mm512_extracti32x4_epi32(x, 2));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 3 * stride), _mm512_extracti32x4_epi32(x, 3));
  }
  static Int words_of(int16_t x) { return _mm512_set1_epi16(x); }
  static Int bytes_of(int8_t x) { return _mm512_set1_epi8(x); }
  static Int flip_signs_8(Int x) { return _mm512_xor_si512(x, bytes_of(-128)); }
  static Float repeat(float x) { return _mm512_set1_ps(x); }
  static Int repeat_four_bytes(const uint8_t* from) {
    int32_t four;
    std::memcpy(&four, from, sizeof(four));
    return _mm512_set1_epi32(four);
  }
  static Int add(Int x, Int y) { return _mm512_add_epi32(x, y); }
  // Unsigned x by signed w.
  static Int add_products(Int sums, Int x, Int w) { return _mm512_dpbusd_epi32(sums, x, w); }
  static Int add_products_16(Int sums, Int x, Int w) { return _mm512_dpwssd_epi32(sums, x, w); }
  // 16 bits each: a's channel 0, b's channel 0, a's channel 1 ...
  static Int pairs(const int8_t* a, const int8_t* b) {
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
    const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(first, second)),
                                                 _mm_unpackhi_epi8(first, second), 1);
    return _mm512_cvtepi8_epi16(both);
  }
  static Float levels(const int8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  }
  // Of each 16 bytes the lower or upper halves, turn by turn.
  static Int low_8(Int x, Int y) { return _mm512_unpacklo_epi8(x, y); }
  static Int high_8(Int x, Int y) { return _mm512_unpackhi_epi8(x, y); }
  static Int low_16(Int x, Int y) { return _mm512_unpacklo_epi16(x, y); }
  static Int high_16(Int x, Int y) { return _mm512_unpackhi_epi16(x, y); }
  static Float to_float(Int x) { return _mm512_cvtepi32_ps(x); }
  static Int to_int(Float x) { return _mm512_cvtps_epi32(x); }
  static Float multiply_add(Float x, Float y, Float z) { return _mm512_fmadd_ps(x, y, z); }
  static Float by_sign(Float x, Float above, Float below) {
    return _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), above, below);
  }
  static Int upper_halves(Int x) { return _mm512_srai_epi32(x, 16); }
  static Int lower_halves(Int x, Int y) { return _mm512_mask_blend_epi16(0xAAAAAAAA, x, _mm512_slli_epi32(y, 16)); }
  static Int pack_32(Int x, Int y) { return _mm512_packs_epi32(x, y); }
  static Int pack_16(Int x, Int y) { return _mm512_packs_epi16(x, y); }
  // Behind pack_16 of two pack_32, which work in quarters of a register.
  static Int in_order(Int x) {
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x);
  }
  static Int add_16(Int x, Int y) { return _mm512_add_epi16(x, y); }
  static Int add_saturated_16(Int x, Int y) { return _mm512_adds_epi16(x, y); }
  static Int smaller_16(Int x, Int y) { return _mm512_min_epu16(x, y); }
  static Int smaller_8(Int x, Int y) { return _mm512_min_epi8(x, y); }
  static Int larger_8(Int x, Int y) { return _mm512_max_epi8(x, y); }
  static bool any_at_most(Int x, int16_t limit) { return _mm512_cmple_epu16_mask(x, _mm512_set1_epi16(limit)) != 0; }
};

}  // namespace
}  // namespace octet::integer
