#pragma once

// What integers decide, sixteen numbers at a time; included under the rules of wide.h, and local to each source that
// does.

#include <immintrin.h>

#include <cstdint>

#include "octet/integer/path.h"

namespace octet::integer {
namespace {

// Products of 64 bits, of even and of odd lanes.
struct WideProducts {
  __m512i even, odd;
};

inline WideProducts wide_products(__m512i x, __m512i factor) {
  return {_mm512_mul_epi32(x, factor), _mm512_mul_epi32(_mm512_srli_epi64(x, 32), _mm512_srli_epi64(factor, 32))};
}

// As doubling_high_multiply, of factors that are not INT_MIN.
inline __m512i doubled_high_product(__m512i x, __m512i factor) {
  const __m512i half = _mm512_set1_epi64(int64_t{1} << 30);
  const WideProducts product = wide_products(x, factor);
  const __m512i even = _mm512_srli_epi64(_mm512_add_epi64(product.even, half), 31);
  const __m512i odd = _mm512_slli_epi64(_mm512_add_epi64(product.odd, half), 1);
  return _mm512_mask_blend_epi32(0xAAAA, even, odd);
}

// As rounding_divide_by_power.
inline __m512i divided_by_power(__m512i x, __m512i exponent) {
  const __m512i one = _mm512_set1_epi32(1);
  const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, exponent), one);
  const __m512i threshold = _mm512_sub_epi32(_mm512_srli_epi32(mask, 1), _mm512_srai_epi32(x, 31));
  const __mmask16 rounds_up = _mm512_cmpgt_epi32_mask(_mm512_and_si512(x, mask), threshold);
  const __m512i whole = _mm512_srav_epi32(x, exponent);
  return _mm512_mask_add_epi32(whole, rounds_up, whole, one);
}

inline __m512i rounded_once(__m512i products, __m512i exponents) {
  const __m512i one = _mm512_set1_epi64(1);
  const __m512i half = _mm512_sllv_epi64(one, _mm512_sub_epi64(exponents, one));
  return _mm512_srav_epi64(_mm512_add_epi64(products, half), exponents);
}

// As multiply_rounding_once; exponents are 31 - shift, at least 1.
inline __m512i product_rounded_once(__m512i x, __m512i factor, __m512i exponent) {
  const WideProducts product = wide_products(x, factor);
  const __m512i low = _mm512_and_si512(exponent, _mm512_set1_epi64(0xFFFFFFFF));
  const __m512i even = rounded_once(product.even, low);
  const __m512i odd = rounded_once(product.odd, _mm512_srli_epi64(exponent, 32));
  return _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
}

// The output's side: zero point and bounds.
class LevelsOfSixteen {
 public:
  LevelsOfSixteen(int32_t zero_point, int32_t low, int32_t high)
      : zero_point_(_mm512_set1_epi32(zero_point)), low_(_mm512_set1_epi32(low)), high_(_mm512_set1_epi32(high)) {}
  void store(__m512i x, __mmask16 some, int8_t* to) const {
    x = _mm512_min_epi32(_mm512_max_epi32(_mm512_add_epi32(x, zero_point_), low_), high_);
    _mm_mask_storeu_epi8(to, some, _mm512_cvtepi32_epi8(x));
  }

 private:
  __m512i zero_point_, low_, high_;
};

constexpr int64_t kSixteen = 16;

inline __mmask16 first_of_sixteen(int64_t count) {
  return count >= kSixteen ? __mmask16{0xFFFF} : static_cast<__mmask16>((1U << count) - 1);
}

// As the operations of PathOps of the same names, and what wide.h asks for where float arithmetic does not do.
struct InIntegers {
  static void requantize(const int32_t* sums, const Requantization& how, int64_t first, int64_t count, int8_t* to) {
    const LevelsOfSixteen levels(how.zero_point, how.low, how.high);
    for (int64_t i = 0; i < count; i += kSixteen) {
      const __mmask16 some = first_of_sixteen(count - i);
      const int64_t c = first + i;
      const __m512i offset = _mm512_maskz_loadu_epi32(some, how.offset.data() + c);
      const __m512i x = _mm512_add_epi32(_mm512_maskz_loadu_epi32(some, sums + i), offset);
      const __m512i factor = _mm512_maskz_loadu_epi32(some, how.multiplier.data() + c);
      if (how.rounds_once) {
        const __m512i right = _mm512_mask_loadu_epi32(_mm512_set1_epi32(31), some, how.right.data() + c);
        levels.store(product_rounded_once(x, factor, right), some, to + i);
      } else {
        const __m512i shifted = _mm512_sllv_epi32(x, _mm512_maskz_loadu_epi32(some, how.left.data() + c));
        const __m512i right = _mm512_maskz_loadu_epi32(some, how.right.data() + c);
        levels.store(divided_by_power(doubled_high_product(shifted, factor), right), some, to + i);
      }
    }
  }

  static void multiply(const ProductOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
    const LevelsOfSixteen levels(how.zero_point, how.bounds.low, how.bounds.high);
    const __m512i factor = _mm512_set1_epi32(how.factor.value);
    const __m512i left = _mm512_set1_epi32(how.factor.shift > 0 ? how.factor.shift : 0);
    const __m512i right = _mm512_set1_epi32(how.factor.shift > 0 ? 0 : -how.factor.shift);
    const __m512i x_zero = _mm512_set1_epi32(how.a_zero), y_zero = _mm512_set1_epi32(how.b_zero);
    for (int64_t i = 0; i < count; i += kSixteen) {
      const __mmask16 some = first_of_sixteen(count - i);
      const __m512i a = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(some, x + i));
      const __m512i b = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(some, y + i));
      const __m512i product = _mm512_mullo_epi32(_mm512_sub_epi32(a, x_zero), _mm512_sub_epi32(b, y_zero));
      const __m512i scaled = doubled_high_product(_mm512_sllv_epi32(product, left), factor);
      levels.store(divided_by_power(scaled, right), some, z + i);
    }
  }

  static void add(const SumOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
    avx2_ops().add(how, x, y, z, count);
  }
};

}  // namespace
}  // namespace octet::integer
