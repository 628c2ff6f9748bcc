#pragma once

// What wide.h asks for, in 256 bits; included under its rules, and local to each source that does.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "octet/integer/wide.h"

namespace octet::integer {
namespace {

constexpr int kBlock = 8;  // channels of a register

struct Avx2 {
  using Int = __m256i;
  using Float = __m256;
  static constexpr int kLanes = kBlock;
  // Of a group of products: widened as they are read, which costs less than twice the memory.
  static constexpr int kWeightBytes = 16;
  static constexpr int kMostVectors = 2;

  static Int zero() { return _mm256_setzero_si256(); }
  static Int load(const int32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static Float load(const float* from) { return _mm256_loadu_ps(from); }
  static Int load_bytes(const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static Int load_weights(const uint8_t* from) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static void store(int32_t* to, Int x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }
  static void store_bytes(int8_t* to, Int x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }
  static void store_halves(Int x, int8_t* a, int8_t* b) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(a), _mm256_castsi256_si128(x));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(b), _mm256_extracti128_si256(x, 1));
  }
  static void store_half_of_halves(Int x, int8_t* a, int8_t* b) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(a), _mm256_castsi256_si128(x));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(b), _mm256_extracti128_si256(x, 1));
  }
  static void store_some_of_halves(Int x, int8_t* a, int8_t* b, int64_t count) {
    alignas(32) int8_t each[4 * kLanes];
    store_bytes(each, x);
    for (int64_t i = 0; i < count; ++i) {
      a[i] = each[i];
      b[i] = each[2 * kLanes + i];
    }
  }
  static void store_quarters(Int x, int8_t* to, int64_t stride) {
    const auto store_two = [stride](__m128d two, int8_t* at) {
      _mm_storel_pd(reinterpret_cast<double*>(at), two);
      _mm_storeh_pd(reinterpret_cast<double*>(at + stride), two);
    };
    store_two(_mm_castsi128_pd(_mm256_castsi256_si128(x)), to);
    store_two(_mm_castsi128_pd(_mm256_extracti128_si256(x, 1)), to + 2 * stride);
  }
  static Int words_of(int16_t x) { return _mm256_set1_epi16(x); }
  static Int bytes_of(int8_t x) { return _mm256_set1_epi8(x); }
  static Int flip_signs_8(Int x) { return _mm256_xor_si256(x, bytes_of(-128)); }
  static Float repeat(float x) { return _mm256_set1_ps(x); }
  static Int repeat_four_bytes(const uint8_t* from) {
    int32_t four;
    std::memcpy(&four, from, sizeof(four));
    return _mm256_set1_epi32(four);
  }
  static Int add_products(Int sums, Int x, Int w) { return add_products_16(sums, x, w); }
  static Int add_products_16(Int sums, Int x, Int w) { return _mm256_add_epi32(sums, _mm256_madd_epi16(x, w)); }
  // 16 bits each: a's channel 0, b's channel 0, a's channel 1 ...
  static Int pairs(const int8_t* a, const int8_t* b) {
    const __m128i first = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(a));
    const __m128i second = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(b));
    return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(first, second));
  }
  static Float levels(const int8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
  }
  // Of each 16 bytes the lower or upper halves, turn by turn.
  static Int low_8(Int x, Int y) { return _mm256_unpacklo_epi8(x, y); }
  static Int high_8(Int x, Int y) { return _mm256_unpackhi_epi8(x, y); }
  static Int low_16(Int x, Int y) { return _mm256_unpacklo_epi16(x, y); }
  static Int high_16(Int x, Int y) { return _mm256_unpackhi_epi16(x, y); }
  static Float to_float(Int x) { return _mm256_cvtepi32_ps(x); }
  static Int to_int(Float x) { return _mm256_cvtps_epi32(x); }
  static Float multiply_add(Float x, Float y, Float z) { return _mm256_fmadd_ps(x, y, z); }
  static Float by_sign(Float x, Float above, Float below) { return _mm256_blendv_ps(above, below, x); }
  static Int upper_halves(Int x) { return _mm256_srai_epi32(x, 16); }
  static Int lower_halves(Int x, Int y) { return _mm256_blend_epi16(x, _mm256_slli_epi32(y, 16), 0xAA); }
  static Int pack_32(Int x, Int y) { return _mm256_packs_epi32(x, y); }
  static Int pack_16(Int x, Int y) { return _mm256_packs_epi16(x, y); }
  // Behind pack_16 of two pack_32, which work in halves of a register.
  static Int in_order(Int x) { return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); }
  static Int add_16(Int x, Int y) { return _mm256_add_epi16(x, y); }
  static Int less_16(Int x, Int y) { return _mm256_sub_epi16(x, y); }
  static Int add(Int x, Int y) { return _mm256_add_epi32(x, y); }
  static Int less(Int x, Int y) { return _mm256_sub_epi32(x, y); }
  static Int quarter(Int x) { return _mm256_srai_epi32(x, 2); }
  static Int add_saturated_16(Int x, Int y) { return _mm256_adds_epi16(x, y); }
  static Int smaller_16(Int x, Int y) { return _mm256_min_epu16(x, y); }
  static Int smaller_8(Int x, Int y) { return _mm256_min_epi8(x, y); }
  static Int larger_8(Int x, Int y) { return _mm256_max_epi8(x, y); }
  static bool any_at_most(Int x, int16_t limit) {
    const Int below = _mm256_subs_epu16(_mm256_set1_epi16(static_cast<int16_t>(limit + 1)), x);
    return _mm256_testz_si256(below, below) == 0;
  }
};

}  // namespace
}  // namespace octet::integer
