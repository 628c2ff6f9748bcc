#include "octet/kernels/levels.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "octet/kernels/fake_quantize_kernel.h"
#include "octet/kernels/multi_isa.h"
#include "octet/kernels/parallel.h"
#include "octet/kernels/rounding.h"
#include "octet/kernels/small_tensors.h"

namespace octet {
namespace {

struct LevelGrid {
  float inverse, zero_point, low, high;
};

// What is no number becomes level 0, as ATen's cast has it.
OCTET_MULTI_ISA(levels_of_row, (const float* x, int8_t* q, int64_t count, const LevelGrid& grid), (x, q, count, grid), {
  const LevelGrid g = grid;
  for (int64_t i = 0; i < count; ++i) {
    const float level = clipped(level_of(x[i], g.inverse, g.zero_point), g.low, g.high);
    q[i] = static_cast<int8_t>(static_cast<int32_t>(level == level ? level : 0.0F));
  }
})

bool is_dense_floats(const at::Tensor& x) {
  return !reference_path() && x.device().is_cpu() && x.layout() == at::kStrided && x.scalar_type() == at::kFloat &&
         x.numel() > 0 && x.is_non_overlapping_and_dense();
}

at::Tensor int8_like(const at::Tensor& x) { return at::empty_like(x.detach(), x.options().dtype(at::kChar)); }

constexpr int64_t kGrain = 1 << 16;  // elements of a thread

}  // namespace

at::Tensor levels_of(const at::Tensor& x, double scale, int64_t zero_point, int64_t quant_min, int64_t quant_max) {
  if (!is_dense_floats(x)) return {};
  at::Tensor levels = int8_like(x);
  const auto* from = x.const_data_ptr<float>();
  auto* to = levels.mutable_data_ptr<int8_t>();
  const LevelGrid grid = {static_cast<float>(1.0 / scale), static_cast<float>(zero_point), float_bound(quant_min),
                          float_bound(quant_max)};
  parallel_for(0, x.numel(), kGrain,
               [&](int64_t begin, int64_t end) { levels_of_row(from + begin, to + begin, end - begin, grid); });
  return levels;
}

at::Tensor levels_of_rows(const at::Tensor& x, const at::Tensor& scales, const at::Tensor& zero_points,
                          int64_t quant_min, int64_t quant_max) {
  const auto* scale = plain_values<float>(scales);
  const auto* zero_point = plain_values<int64_t>(zero_points);
  if (scale == nullptr || zero_point == nullptr || x.dim() == 0 || !is_dense_floats(x)) return {};
  const int64_t rows = x.size(0), count = x.numel() / rows;
  if (rows > 1 && x.stride(0) != count) return {};
  at::Tensor levels = int8_like(x);
  const auto* from = x.const_data_ptr<float>();
  auto* to = levels.mutable_data_ptr<int8_t>();
  const float low = float_bound(quant_min), high = float_bound(quant_max);
  parallel_for(0, rows, std::max<int64_t>(kGrain / count, 1), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const LevelGrid grid = {1.0F / scale[row], static_cast<float>(zero_point[row]), low, high};
      levels_of_row(from + row * count, to + row * count, count, grid);
    }
  });
  return levels;
}

}  // namespace octet
