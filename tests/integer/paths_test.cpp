// What a path computes by itself: products against a loop over all their terms, requantization against the functions of
// fixed point.

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include <array>
#include <cmath>

#include "octet/integer/fixed_point.h"
#include "octet/integer/gemm.h"
#include "octet/kernels/fake_quantize_kernel.h"
#include "tests/integer/paths.h"

namespace octet {
namespace {

using integer::Path;
using test::between;
using test::levels;
using test::random_bits;

TEST(Paths, ThePortableOneIsThereAndTheReferenceTakesIt) {
  EXPECT_EQ(integer::available_paths().front(), Path::kPortable);
  const bool before = reference_path();
  set_reference_path(true);
  EXPECT_EQ(integer::best_path(), Path::kPortable);
  set_reference_path(false);
  EXPECT_EQ(integer::best_path(), integer::available_paths().back());
  set_reference_path(before);
}

#if defined(__x86_64__) && defined(__GNUC__)
// How a thread's tiles are set up: 64 bytes.
using TileSetup = std::array<uint8_t, 64>;
__attribute__((target("amx-tile"))) void set_tiles(const TileSetup& setup) { _tile_loadconfig(setup.data()); }
__attribute__((target("amx-tile"))) TileSetup tiles_now() {
  TileSetup setup{};
  _tile_storeconfig(setup.data());
  return setup;
}

// oneDNN sets its tiles up once and believes that they stay.
TEST(Paths, AmxLeavesTilesAsOthersSetThemUp) {
  if (integer::available_paths().back() != Path::kAmx) GTEST_SKIP() << "no AMX here";
  TileSetup others{};
  others[0] = 1;                    // the palette
  others[16] = 12, others[48] = 3;  // tile 0: bytes of a row, rows
  others[16 + 2] = 64, others[48 + 1] = 16;
  constexpr int64_t kRows = 40, kDepth = 70, kChannels = 20;
  const at::Tensor weights = levels({kChannels, kDepth}), x = levels({kRows, kDepth});
  const integer::PackedWeights packed(Path::kAmx, weights.const_data_ptr<int8_t>(), kChannels, 1, kDepth);
  std::vector<uint8_t> image(static_cast<size_t>(kRows * kDepth + integer::kReadAhead), 0);
  packed.ops().pack(x.const_data_ptr<int8_t>(), kRows * kDepth, image.data());
  for (const TileSetup& before : {others, TileSetup{}}) {
    set_tiles(before);
    packed.multiply(
        0, kRows, [&](int64_t row) { return image.data() + row * kDepth; }, {0},
        [](int64_t, int64_t, int64_t, const int32_t*) {});
    EXPECT_EQ(tiles_now(), before);
  }
}
#endif

// Rows that overlap, as a window's do, and segments apart.
TEST(Paths, ProductsAreExact) {
  for (const Path path : integer::available_paths()) {
    const integer::PathOps& ops = integer::path_ops(path);
    for (int round = 0; round < 150; ++round) {
      const int64_t rows = between(1, 60), channels = between(1, 150), segments = between(1, 4), depth = between(1, 70);
      const bool extreme = round % 5 == 0;
      const int64_t reach = rows * 3 + segments * 50 + depth;
      const at::Tensor x = extreme ? at::full({reach}, -128, at::TensorOptions(at::kChar)) : levels({reach});
      const at::Tensor w = extreme ? at::full({channels, segments, depth}, -128, at::TensorOptions(at::kChar))
                                   : levels({channels, segments, depth});
      const integer::PackedWeights packed(path, w.const_data_ptr<int8_t>(), channels, segments, depth);
      std::vector<uint8_t> image(static_cast<size_t>(reach * ops.activation_bytes + integer::kReadAhead), 0x55);
      ops.pack(x.const_data_ptr<int8_t>(), reach, image.data());
      std::vector<int64_t> places;
      for (int64_t s = 0; s < segments; ++s) places.push_back(50 * s * ops.activation_bytes);
      int64_t seen = 0, wrong = 0;
      packed.multiply(
          0, rows, [&](int64_t row) { return image.data() + 3 * row * ops.activation_bytes; }, places,
          [&](int64_t row, int64_t first, int64_t count, const int32_t* sums) {
            for (int64_t i = 0; i < count; ++i) {
              const auto* weights = w.const_data_ptr<int8_t>() + (first + i) * segments * depth;
              int64_t sum = 0;
              for (int64_t s = 0; s < segments; ++s) {
                for (int64_t d = 0; d < depth; ++d) {
                  const int64_t value = x.const_data_ptr<int8_t>()[3 * row + 50 * s + d];
                  sum += (value + ops.activation_shift) * weights[s * depth + d];
                }
              }
              ++seen;
              if (static_cast<int32_t>(sum) != sums[i]) ++wrong;
            }
          });
      EXPECT_EQ(seen, rows * channels);
      ASSERT_EQ(wrong, 0) << path_name(path) << " " << rows << " x " << channels << " x " << segments * depth;
    }
  }
}

// The extremes often enough for sums that leave int32: they wrap on every path.
TEST(Paths, SumsWrap) {
  constexpr int64_t kDepth = 140000;
  const at::Tensor weights = at::full({kDepth}, -128, at::TensorOptions(at::kChar));
  for (const int64_t value : {-128, 127}) {
    const at::Tensor x = at::full({kDepth}, value, at::TensorOptions(at::kChar));
    for (const Path path : integer::available_paths()) {
      const integer::PackedWeights packed(path, weights.const_data_ptr<int8_t>(), 1, 1, kDepth);
      const integer::PathOps& ops = packed.ops();
      std::vector<uint8_t> image(static_cast<size_t>(kDepth * ops.activation_bytes + integer::kReadAhead), 0);
      ops.pack(x.const_data_ptr<int8_t>(), kDepth, image.data());
      const int64_t exact = kDepth * -128 * (ops.activation_shift + value);
      packed.multiply(
          0, 1, [&](int64_t) { return image.data(); }, {0},
          [&](int64_t, int64_t, int64_t, const int32_t* sums) {
            EXPECT_EQ(sums[0], static_cast<int32_t>(static_cast<uint32_t>(exact))) << path_name(path);
          });
    }
  }
}

TEST(Paths, RequantizeAsTheFixedPointFunctionsDo) {
  enum class Kind { kTwice, kOnce, kTame };
  for (const Kind kind : {Kind::kTwice, Kind::kOnce, Kind::kTame}) {
    const bool once = kind == Kind::kOnce, tame = kind == Kind::kTame;
    integer::Requantization how;
    how.is_tame = tame;
    constexpr size_t kChannels = 256;
    std::vector<integer::Multiplier> factors;
    for (size_t c = 0; c < kChannels; ++c) {
      const int shift = static_cast<int>(between(-31, tame ? -1 : 30));
      const auto value = static_cast<int32_t>(c % 50 == 7 ? 0 : between(1 << 30, INT32_MAX));
      factors.push_back({value, shift});
      how.offset.push_back(c % 3 == 0 ? 0 : static_cast<int32_t>(random_bits()()) >> (tame ? 4 : 0));
      how.multiplier.push_back(value);
      how.left.push_back(!once && shift > 0 ? shift : 0);
      how.right.push_back(once ? 31 - shift : shift > 0 ? 0 : -shift);
      how.half.push_back(tame ? 1 << (-shift - 1) : 0);
    }
    how.zero_point = 3;
    how.low = -100;
    how.high = 119;
    how.rounds_once = once;
    for (const Path path : integer::available_paths()) {
      for (int round = 0; round < 400; ++round) {
        const int64_t count = between(1, kChannels), first = between(0, kChannels / 64 - 1) * 64;
        const int64_t width = std::min<int64_t>(count, static_cast<int64_t>(kChannels) - first);
        std::vector<int32_t> sums(kChannels + 16, 0);
        for (int32_t& sum : sums) sum = static_cast<int32_t>(random_bits()()) >> between(0, 31);
        if (round == 0) std::fill(sums.begin(), sums.end(), INT32_MIN);
        if (round == 1) std::fill(sums.begin(), sums.end(), INT32_MAX);
        for (int32_t& sum : sums) sum >>= tame ? 2 : 0;
        std::vector<int8_t> got(kChannels + 1, 77);
        integer::path_ops(path).requantize(sums.data(), how, first, width, got.data());
        for (int64_t i = 0; i < width; ++i) {
          const auto c = static_cast<size_t>(first + i);
          const int32_t sum = integer::wrapping_add(sums[static_cast<size_t>(i)], how.offset[c]);
          const int32_t scaled =
              once ? integer::multiply_rounding_once(sum, factors[c]) : integer::multiply(sum, factors[c]);
          ASSERT_EQ(got[static_cast<size_t>(i)], integer::clamp_int8(integer::wrapping_add(scaled, 3), -100, 119))
              << path_name(path) << ": " << sum << " * " << factors[c].value << " * 2^" << factors[c].shift;
        }
        EXPECT_EQ(got[static_cast<size_t>(width)], 77) << "writes no more than it should";
      }
    }
  }
}

}  // namespace
}  // namespace octet
