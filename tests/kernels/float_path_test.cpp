#include "octet/kernels/float_path.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace octet {
namespace {

std::vector<const FloatPath*> float_paths() {
  std::vector<const FloatPath*> paths;
  for (const FloatPath* path : {portable_float_path(), avx2_float_path(), avx512_float_path()}) {
    if (path != nullptr) paths.push_back(path);
  }
  return paths;
}

std::vector<float> noise(size_t count) {
  static std::mt19937 generator(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(generator);
  return values;
}

TEST(FloatPath, MultipliesTilesOfEverySize) {
  for (const FloatPath* path : float_paths()) {
    const int64_t strip = 2 * path->lanes;
    const int64_t depth = 19;
    const std::vector<float> a = noise(depth * path->rows);
    const std::vector<float> b = noise(depth * strip);
    const std::vector<float> bias = noise(strip);
    for (int rows = 1; rows <= path->rows; ++rows) {
      for (int64_t columns = 1; columns <= strip; ++columns) {
        for (const bool adds : {false, true}) {
          std::vector<float> c(path->rows * strip, 0.5F);
          path->gemm_tile({a.data(), 1, path->rows, b.data(), strip, c.data(), strip, depth, rows, columns,
                           adds ? nullptr : bias.data(), adds});
          for (int64_t r = 0; r < path->rows; ++r) {
            for (int64_t j = 0; j < strip; ++j) {
              double wanted = 0.5;
              if (r < rows && j < columns) {
                if (!adds) wanted = bias[j];
                for (int64_t k = 0; k < depth; ++k) wanted += double{a[k * path->rows + r]} * b[k * strip + j];
              }
              ASSERT_NEAR(c[r * strip + j], wanted, 1e-5) << path->name << ' ' << rows << " x " << columns;
            }
          }
        }
      }
    }
  }
}

TEST(FloatPath, SumsLinesInTilesOfEverySize) {
  for (const FloatPath* path : float_paths()) {
    const int64_t strip = 2 * path->lanes;
    const int64_t width = 5;
    const std::vector<int64_t> offsets{3 * strip, 0, 9 * strip};  // lines overlap, and lie in any order
    const std::vector<float> a = noise(offsets.size() * width * path->rows);
    const std::vector<float> b = noise((9 + width) * strip);
    for (int rows = 1; rows <= path->rows; ++rows) {
      for (int64_t columns = 1; columns <= strip; ++columns) {
        for (const bool adds : {false, true}) {
          std::vector<float> c(path->rows * strip, 0.5F);
          path->sum_tile({a.data(), b.data(), offsets.data(), static_cast<int64_t>(offsets.size()), width, c.data(),
                          strip, rows, columns, adds});
          for (int64_t r = 0; r < path->rows; ++r) {
            for (int64_t j = 0; j < strip; ++j) {
              const bool written = r < rows && j < columns;
              double wanted = written && !adds ? 0 : 0.5;
              for (size_t k = 0; written && k < offsets.size() * width; ++k) {
                const size_t at = offsets[k / width] + k % width * strip + j;
                wanted += double{a[k * path->rows + r]} * b[at];
              }
              ASSERT_NEAR(c[r * strip + j], wanted, 1e-5) << path->name << ' ' << rows << " x " << columns;
            }
          }
        }
      }
    }
  }
}

TEST(FloatPath, SumsTapsOfEveryCount) {
  for (const FloatPath* path : float_paths()) {
    for (const int64_t channels : {int64_t{1}, path->lanes, 3 * path->lanes + 3}) {
      const int64_t pixels = 7;
      const std::vector<float> x = noise(2 * (pixels + kMostGradientTaps) * channels);
      const std::vector<float> dy = noise(pixels * channels);
      for (int count = 0; count <= kMostGradientTaps; ++count) {
        const std::vector<float> weight = noise(kMostGradientTaps * channels);
        const std::vector<float> bias = noise(channels);
        std::vector<float> y(pixels * channels);
        std::vector<float> sums(kMostGradientTaps * channels, 1.0F);
        std::vector<DepthwiseTap> taps;
        std::vector<DepthwiseGradientTap> gradients;
        for (int i = 0; i < count; ++i) {
          taps.push_back({x.data() + i * channels, weight.data() + i * channels});
          gradients.push_back({x.data() + i * channels, sums.data() + i * channels});
        }
        path->depthwise_pixels(taps.data(), count, bias.data(), 2 * channels, y.data(), channels, pixels, channels);
        if (count > 0) {
          path->depthwise_gradient(gradients.data(), count, 2 * channels, dy.data(), channels, pixels, channels);
        }
        for (int64_t c = 0; c < channels; ++c) {
          for (int64_t t = 0; t < pixels; ++t) {
            double wanted = bias[c];
            for (int i = 0; i < count; ++i) wanted += double{x[(2 * t + i) * channels + c]} * weight[i * channels + c];
            ASSERT_NEAR(y[t * channels + c], wanted, 1e-5) << path->name;
          }
          for (int i = 0; i < kMostGradientTaps; ++i) {
            double wanted = 1;
            for (int64_t t = 0; t < pixels && i < count; ++t) {
              wanted += double{x[(2 * t + i) * channels + c]} * dy[t * channels + c];
            }
            ASSERT_NEAR(sums[i * channels + c], wanted, 1e-5) << path->name;
          }
        }
      }
    }
  }
}

TEST(FloatPath, UnpacksIntegers) {
  for (const FloatPath* path : float_paths()) {
    for (const int64_t columns : {int64_t{5}, 2 * path->lanes, 4 * path->lanes + 1}) {
      std::vector<int8_t> q(3 * columns);
      for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<int8_t>(i * 37);
      std::vector<float> to(3 * columns);
      path->unpack(q.data(), columns, -128, 3, columns, to.data(), columns);
      for (size_t i = 0; i < q.size(); ++i) ASSERT_EQ(to[i], static_cast<float>(q[i] + 128)) << path->name;
    }
  }
}

}  // namespace
}  // namespace octet
