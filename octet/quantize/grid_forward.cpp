#include "octet/quantize/grid_forward.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/round.h>

#include "octet/integer/grid_convolution.h"

namespace octet {
namespace {

constexpr int64_t kLevels = 256;
constexpr double kOff = 1e-3;  // of a step: more than float arithmetic moves a weight on its way through the BatchNorm

bool is_image_of_floats(const at::Tensor& x) {
  return x.dim() == 4 && x.scalar_type() == at::kFloat && x.device().is_cpu() && x.numel() > 0 &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

// int8 [O, kh, kw, I] in memory; undefined where a value is no such multiple.
at::Tensor levels_of(const RoundedWeight& weight) {
  const at::Tensor steps = weight.values / weight.steps.reshape({-1, 1, 1, 1});
  const at::Tensor levels = at::round(steps);
  const bool fit = (steps - levels).abs_().max().item<float>() <= kOff && levels.abs().max().item<float>() <= 127;
  return fit ? levels.to(at::kChar).contiguous(at::MemoryFormat::ChannelsLast) : at::Tensor();
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

bool takes_integers(const at::Tensor& x, const RoundingGrid& grid, const RoundedWeight& weight,
                    const ConvGeometry& g) {
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
  const bool fits = integer::convolve_on_grid(
      convolution, x.const_data_ptr<float>(), {grid.scale, grid.zero_point, grid.quant_min},
      levels.const_data_ptr<int8_t>(), factors.const_data_ptr<float>(),
      added.defined() ? added.const_data_ptr<float>() : nullptr, y.mutable_data_ptr<float>());
  return fits ? std::optional(y) : std::nullopt;
}

}  // namespace octet
