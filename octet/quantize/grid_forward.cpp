#include "octet/quantize/grid_forward.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <atomic>

#include "octet/integer/grid_convolution.h"
#include "octet/kernels/parallel.h"

namespace octet {
namespace {

constexpr int64_t kLevels = 256;
constexpr int64_t kGrain = 1 << 15;  // weights of a thread

bool is_image_of_floats(const at::Tensor& x) {
  return x.dim() == 4 && x.scalar_type() == at::kFloat && x.device().is_cpu() && x.numel() > 0 &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

// int8 [O, kh, kw, I] in memory; undefined where a value is no multiple.
at::Tensor levels_of(const RoundedWeight& weight) {
  if (weight.multiples.defined()) return weight.multiples.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor values = weight.values.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor steps = weight.steps.contiguous();
  const int64_t channels = values.size(0), each = values.numel() / channels;
  at::Tensor levels = at::empty_like(values, values.options().dtype(at::kChar));
  const float* from = values.const_data_ptr<float>();
  const float* step = steps.const_data_ptr<float>();
  auto* to = levels.mutable_data_ptr<int8_t>();
  std::atomic<bool> fit{true};
  parallel_for(0, channels, std::max<int64_t>(kGrain / each, 1), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      if (!integer::find_multiples(from + c * each, each, step[c], to + c * each)) fit = false;
    }
  });
  return fit ? levels : at::Tensor();
}

// Nothing where the numbers make no convolution: its own error is at::convolution's.
std::optional<integer::GridConvolution> convolution_of(const at::Tensor& x, const at::Tensor& w,
                                                       const ConvGeometry& g) {
  integer::GridConvolution found{x.size(0), x.size(1), w.size(0), {x.size(2), x.size(3)}, {}, {w.size(2), w.size(3)},
                                 g.stride,  g.padding, g.dilation};
  for (size_t d = 0; d < 2; ++d) {
    if (g.stride[d] < 1 || g.dilation[d] < 1 || g.padding[d] < 0) return std::nullopt;
    const int64_t room = found.in[d] + 2 * g.padding[d] - g.dilation[d] * (found.filter[d] - 1) - 1;
    if (room < 0) return std::nullopt;
    found.out[d] = room / g.stride[d] + 1;
  }
  return found;
}

}  // namespace

bool takes_integers(const at::Tensor& x, const RoundingGrid& grid, const RoundedWeight& weight, const ConvGeometry& g) {
  const at::Tensor& w = weight.values;
  const bool is_known = !grid.is_none && grid.quant_max - grid.quant_min < kLevels && weight.steps.defined();
  if (!is_known || g.groups != 1 || !is_image_of_floats(x)) return false;
  if (w.dim() != 4 || w.scalar_type() != at::kFloat || w.numel() == 0 || w.size(1) != x.size(1)) return false;
  const std::optional<integer::GridConvolution> convolution = convolution_of(x, w, g);
  return convolution && integer::is_worth_integers(*convolution);
}

std::optional<at::Tensor> convolve_in_integers(const at::Tensor& x, const RoundingGrid& grid,
                                               const RoundedWeight& weight, const at::Tensor& bias,
                                               const ConvGeometry& g) {
  const integer::GridConvolution convolution = convolution_of(x, weight.values, g).value();
  const at::Tensor levels = levels_of(weight);
  if (!levels.defined()) return std::nullopt;
  const at::Tensor factors = (weight.steps * grid.scale).contiguous();
  const at::Tensor added = bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
  at::Tensor y = at::empty({x.size(0), convolution.out_channels, convolution.out[0], convolution.out[1]},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast));
  const bool fits =
      integer::convolve_on_grid(convolution, x.const_data_ptr<float>(), {grid.scale, grid.zero_point, grid.quant_min},
                                levels.const_data_ptr<int8_t>(), factors.const_data_ptr<float>(),
                                added.defined() ? added.const_data_ptr<float>() : nullptr, y.mutable_data_ptr<float>());
  return fits ? std::optional(y) : std::nullopt;
}

}  // namespace octet
