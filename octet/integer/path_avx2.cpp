#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include <cstring>

#include "octet/integer/path.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "octet/integer/avx2_vector.h"
#include "octet/integer/tile_by_tile.h"
#include "octet/integer/wide_winograd.h"

namespace octet::integer {
namespace {

// The same for weights of 16 bits.
struct Avx2OfWords : Avx2 {
  static constexpr int kWeightBytes = 32;
  static Int load_weights(const uint8_t* from) { return load_bytes(from); }
};

void pack_wide(const int8_t* from, int64_t count, uint8_t* to) {
  auto* wide = reinterpret_cast<int16_t*>(to);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(wide + i), _mm256_cvtepi8_epi16(narrow));
  }
  for (; i < count; ++i) wide[i] = from[i];
}

// Eight products of 32 bits in two registers: of the even and of the odd numbers.
struct Products {
  __m256i even, odd;
};

inline Products products(__m256i x, __m256i factor) {
  return {_mm256_mul_epi32(x, factor), _mm256_mul_epi32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(factor, 32))};
}

// round(x * multiplier / 2^31), halves up: the 32 bits from bit 31 on.
inline __m256i high_multiply(__m256i x, __m256i factor) {
  const __m256i half = _mm256_set1_epi64x(int64_t{1} << 30);
  const Products product = products(x, factor);
  const __m256i even = _mm256_srli_epi64(_mm256_add_epi64(product.even, half), 31);
  const __m256i odd = _mm256_slli_epi64(_mm256_add_epi64(product.odd, half), 1);
  return _mm256_blend_epi32(even, odd, 0xAA);
}

// x / 2^exponent, halves away from zero.
inline __m256i divide_by_power(__m256i x, __m256i exponent) {
  const __m256i one = _mm256_set1_epi32(1);
  const __m256i mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, exponent), one);
  const __m256i threshold = _mm256_sub_epi32(_mm256_srli_epi32(mask, 1), _mm256_srai_epi32(x, 31));
  const __m256i above = _mm256_cmpgt_epi32(_mm256_and_si256(x, mask), threshold);
  return _mm256_sub_epi32(_mm256_srav_epi32(x, exponent), above);
}

// (x + 2^(count - 1)) >> count in 64 bits.
inline __m256i rounded_shift(__m256i x, __m256i count) {
  const __m256i one = _mm256_set1_epi64x(1);
  const __m256i top = _mm256_set1_epi64x(INT64_MIN);  // makes a logical shift of what would be an arithmetic one
  const __m256i half = _mm256_sllv_epi64(one, _mm256_sub_epi64(count, one));
  const __m256i shifted = _mm256_srlv_epi64(_mm256_add_epi64(_mm256_add_epi64(x, half), top), count);
  return _mm256_sub_epi64(shifted, _mm256_srlv_epi64(top, count));
}

inline __m256i multiply_once(__m256i x, __m256i factor, __m256i count) {
  const Products product = products(x, factor);
  const __m256i low_half = _mm256_set1_epi64x(0xFFFFFFFF);
  const __m256i even = rounded_shift(product.even, _mm256_and_si256(count, low_half));
  const __m256i odd = rounded_shift(product.odd, _mm256_srli_epi64(count, 32));
  return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}

inline __m256i eight(const int32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

// Eight levels at the low end, saturated.
inline __m128i levels_of(__m256i x) {
  const __m256i words = _mm256_packs_epi32(x, x);
  const __m256i bytes = _mm256_packs_epi16(words, words);
  return _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
}

inline void store_levels(__m128i levels, int64_t count, int8_t* to) {
  if (count >= kBlock) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), levels);
    return;
  }
  const int64_t bytes = _mm_cvtsi128_si64(levels);
  std::memcpy(to, &bytes, static_cast<size_t>(count));
}

// The output's side: zero point and bounds of eight numbers.
class Finish {
 public:
  Finish(int32_t zero_point, int32_t low, int32_t high)
      : zero_point_(_mm256_set1_epi32(zero_point)), low_(_mm256_set1_epi32(low)), high_(_mm256_set1_epi32(high)) {}
  void store(__m256i x, int64_t count, int8_t* to) const {
    x = _mm256_min_epi32(_mm256_max_epi32(_mm256_add_epi32(x, zero_point_), low_), high_);
    store_levels(levels_of(x), count, to);
  }

 private:
  __m256i zero_point_, low_, high_;
};

// Eight scaled sums of a tame requantization: no overflow on the way, so that halves are rounded by adding them.
inline __m256i tamely_scaled(const int32_t* sums, const Requantization& how, int64_t c) {
  const __m256i x = _mm256_add_epi32(eight(sums), eight(how.offset.data() + c));
  const __m256i high = high_multiply(x, eight(how.multiplier.data() + c));
  const __m256i half = _mm256_add_epi32(eight(how.half.data() + c), _mm256_srai_epi32(high, 31));
  return _mm256_srav_epi32(_mm256_add_epi32(high, half), eight(how.right.data() + c));
}

// 32 channels at a time; the narrowing saturates where bounds come later.
int64_t requantize_tame(const int32_t* sums, const Requantization& how, int64_t first, int64_t count, int8_t* to) {
  const __m256i zero_point = _mm256_set1_epi16(static_cast<int16_t>(how.zero_point));
  const __m256i low = _mm256_set1_epi8(static_cast<char>(how.low)),
                high = _mm256_set1_epi8(static_cast<char>(how.high));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  int64_t i = 0;
  for (; i + 4 * kBlock <= count; i += 4 * kBlock) {
    const int64_t c = first + i;
    const __m256i a = tamely_scaled(sums + i, how, c), b = tamely_scaled(sums + i + 8, how, c + 8);
    const __m256i d = tamely_scaled(sums + i + 16, how, c + 16), e = tamely_scaled(sums + i + 24, how, c + 24);
    const __m256i front = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero_point);
    const __m256i back = _mm256_adds_epi16(_mm256_packs_epi32(d, e), zero_point);
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(front, back), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm256_min_epi8(_mm256_max_epi8(bytes, low), high));
  }
  return i;
}

void requantize_avx2(const int32_t* sums, const Requantization& how, int64_t first, int64_t count, int8_t* to) {
  const Finish finish(how.zero_point, how.low, how.high);
  int64_t i = how.is_tame ? requantize_tame(sums, how, first, count, to) : 0;
  for (; i < count; i += kBlock) {
    const int64_t c = first + i;
    if (how.is_tame) {
      finish.store(tamely_scaled(sums + i, how, c), count - i, to + i);
      continue;
    }
    __m256i x = _mm256_add_epi32(eight(sums + i), eight(how.offset.data() + c));
    const __m256i factor = eight(how.multiplier.data() + c), right = eight(how.right.data() + c);
    if (how.rounds_once) {
      x = multiply_once(x, factor, right);
    } else {
      x = divide_by_power(high_multiply(_mm256_sllv_epi32(x, eight(how.left.data() + c)), factor), right);
    }
    finish.store(x, count - i, to + i);
  }
}

// One factor for all.
class Factor {
 public:
  explicit Factor(Multiplier factor)
      : value_(_mm256_set1_epi32(factor.value)),
        left_(_mm256_set1_epi32(factor.shift > 0 ? factor.shift : 0)),
        right_(_mm256_set1_epi32(factor.shift > 0 ? 0 : -factor.shift)) {}
  __m256i times(__m256i x) const { return divide_by_power(high_multiply(_mm256_sllv_epi32(x, left_), value_), right_); }

 private:
  __m256i value_, left_, right_;
};

// Up to eight levels less their zero point.
inline __m256i centered(const int8_t* from, int64_t count, __m256i zero_point) {
  int64_t bytes = 0;
  std::memcpy(&bytes, from, static_cast<size_t>(count < kBlock ? count : kBlock));
  return _mm256_sub_epi32(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(bytes)), zero_point);
}

void add_in_integers(const SumOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
  const Finish finish(how.zero_point, how.bounds.low, how.bounds.high);
  const Factor a(how.a), b(how.b), out(how.out);
  const __m256i a_zero = _mm256_set1_epi32(how.a_zero), b_zero = _mm256_set1_epi32(how.b_zero);
  for (int64_t i = 0; i < count; i += kBlock) {
    const __m256i left = a.times(_mm256_slli_epi32(centered(x + i, count - i, a_zero), kFractionBits));
    const __m256i right = b.times(_mm256_slli_epi32(centered(y + i, count - i, b_zero), kFractionBits));
    const __m256i sum = how.subtracts ? _mm256_sub_epi32(left, right) : _mm256_add_epi32(left, right);
    finish.store(out.times(sum), count - i, z + i);
  }
}

void multiply_in_integers(const ProductOfTwo& how, const int8_t* x, const int8_t* y, int8_t* z, int64_t count) {
  const Finish finish(how.zero_point, how.bounds.low, how.bounds.high);
  const Factor factor(how.factor);
  const __m256i a_zero = _mm256_set1_epi32(how.a_zero), b_zero = _mm256_set1_epi32(how.b_zero);
  for (int64_t i = 0; i < count; i += kBlock) {
    const __m256i left = centered(x + i, count - i, a_zero), right = centered(y + i, count - i, b_zero);
    finish.store(factor.times(_mm256_mullo_epi32(left, right)), count - i, z + i);
  }
}

}  // namespace

const PathOps& avx2_ops() {
  static const WinogradOps winograd = {.spread = wide::spread_tiles<Avx2>,
                                       .tile = wide::sums_of_tile<Avx2OfWords>,
                                       .gather = wide::gather_tiles<Avx2, requantize_avx2>};
  static const PathOps ops = {
      .depth_group = 2,
      .groups_at_once = 1,
      .channel_block = kBlock,
      .row_block = wide::kMostRows,
      .rows_at_a_time = 48,
      .activation_bytes = 2,
      .weight_bytes = 1,
      .activation_shift = 0,
      .depthwise_block = kBlock,
      .pack = pack_wide,
      .tile = wide::sums_of_tile<Avx2>,
      .levels = tile_by_tile<wide::levels_of_tile<Avx2, requantize_avx2>, wide::kMostRows, kBlock>,
      .requantize = requantize_avx2,
      .depthwise = wide::depthwise<Avx2, requantize_avx2>,
      .add = wide::add<Avx2, add_in_integers>,
      .look_up = portable_ops().look_up,
      .multiply = wide::multiply<Avx2, multiply_in_integers>,
      .columns_of_3 = nullptr,
      .columns_of_5 = nullptr,
      .winograd = &winograd};
  return ops;
}

}  // namespace octet::integer

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
