#include "octet/kernels/fake_quantize_kernel.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <array>
#include <cmath>

#include "octet/kernels/channel_rows.h"
#include "octet/kernels/multi_isa.h"
#include "octet/kernels/parallel.h"
#include "octet/kernels/rounding.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr const char* kWhere = "octet::fake_quantize";
constexpr int64_t kGrain = 1 << 15;

// One grid for a whole row of memory.
struct RowGrid {
  float inverse;
  float scale;
  float zero_point;
  float low;
  float high;
};

OCTET_MULTI_ISA(quantize_row, (const float* x, float* y, int64_t count, const RowGrid& grid), (x, y, count, grid), {
  const RowGrid g = grid;
  for (int64_t i = 0; i < count; ++i) {
    y[i] = value_of(level_of(x[i], g.inverse, g.zero_point), g.low, g.high, g.zero_point, g.scale);
  }
})

OCTET_MULTI_ISA(quantize_mask_row, (const float* x, float* y, uint8_t* mask, int64_t count, const RowGrid& grid),
                (x, y, mask, count, grid), {
                  const RowGrid g = grid;
                  for (int64_t i = 0; i < count; ++i) {
                    const float raw = level_of(x[i], g.inverse, g.zero_point);
                    mask[i] = static_cast<uint8_t>((raw >= g.low) & (raw <= g.high));
                    y[i] = value_of(raw, g.low, g.high, g.zero_point, g.scale);
                  }
                })

// Interleaved channels (channels last): every element of a row of `count` channels has its own grid.
struct ChannelGrids {
  const float* inverse;
  const float* scale;
  const float* zero_point;
  float low;
  float high;
};

OCTET_MULTI_ISA(quantize_channels, (const float* x, float* y, uint8_t* mask, int64_t count, const ChannelGrids& grids),
                (x, y, mask, count, grids), {
                  const ChannelGrids g = grids;
                  for (int64_t c = 0; c < count; ++c) {
                    const float raw = level_of(x[c], g.inverse[c], g.zero_point[c]);
                    mask[c] = static_cast<uint8_t>((raw >= g.low) & (raw <= g.high));
                    y[c] = value_of(raw, g.low, g.high, g.zero_point[c], g.scale[c]);
                  }
                })

// The grid as float32 rows on the CPU. 1 / scale in float32 is the correctly rounded quotient, the same that a division
// in double, rounded once more, gives.
struct Grids {
  std::array<at::Tensor, 3> owners;
  ChannelGrids channels;

  RowGrid row(int64_t channel) const {
    return {channels.inverse[channel], channels.scale[channel], channels.zero_point[channel], channels.low,
            channels.high};
  }
};

Grids make_grids(const at::Tensor& scale, const at::Tensor& zero_point, int64_t quant_min, int64_t quant_max) {
  const at::Tensor scales = scale.detach().to(at::kFloat).contiguous();
  const at::Tensor zero_points = zero_point.detach().to(at::kFloat).contiguous();
  const at::Tensor inverses = at::reciprocal(scales);
  return {{scales, zero_points, inverses},
          {inverses.const_data_ptr<float>(), scales.const_data_ptr<float>(), zero_points.const_data_ptr<float>(),
           float_bound(quant_min), float_bound(quant_max)}};
}

/// `mask` is filled only where it is defined.
void quantize_dense(const at::Tensor& x, const Grids& grids, int64_t axis, at::Tensor& y, at::Tensor& mask) {
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  uint8_t* bits = mask.defined() ? mask.mutable_data_ptr<uint8_t>() : nullptr;
  const auto row = [&](int64_t begin, int64_t count, const RowGrid& grid) {
    if (bits != nullptr) {
      quantize_mask_row(in + begin, out + begin, bits + begin, count, grid);
    } else {
      quantize_row(in + begin, out + begin, count, grid);
    }
  };
  if (x.numel() == 0) return;
  // In a dense layout, element i of memory belongs to channel (i / stride) % channels.
  const int64_t channels = axis < 0 ? 1 : x.size(axis);
  if (channels == 1) {
    const RowGrid grid = grids.row(0);
    parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) { row(begin, end - begin, grid); });
    return;
  }
  const int64_t stride = x.stride(axis);
  if (stride > 1) {
    const int64_t rows = x.numel() / stride;
    parallel_for(0, rows, std::max<int64_t>(1, kGrain / stride), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) row(r * stride, stride, grids.row(r % channels));
    });
    return;
  }
  parallel_for(0, x.numel() / channels, std::max<int64_t>(1, kGrain / channels), [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> unused(bits == nullptr ? channels : 0);
    for (int64_t r = begin; r < end; ++r) {
      const int64_t at = r * channels;
      quantize_channels(in + at, out + at, bits == nullptr ? unused.data() : bits + at, channels, grids.channels);
    }
  });
}

at::Tensor dense(const at::Tensor& x) { return x.is_non_overlapping_and_dense() ? x : x.contiguous(); }

struct FakeQuantizeFunction : torch::autograd::Function<FakeQuantizeFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& scale,
                            const at::Tensor& zero_point, int64_t axis, int64_t quant_min, int64_t quant_max) {
    const at::Tensor input = dense(x);
    at::Tensor y = at::empty_like(input);
    at::Tensor mask = at::empty_like(input, input.options().dtype(at::kByte));
    quantize_dense(input, make_grids(scale, zero_point, quant_min, quant_max), axis, y, mask);
    context->save_for_backward({mask});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const at::Tensor mask = context->get_saved_variables()[0];
    at::Tensor gradient = gradients[0];
    const at::Tensor none;
    if (!gradient.defined()) return {none, none, none, none, none, none};
    if (torch::GradMode::is_enabled() && gradient.requires_grad()) {  // a second derivative is asked for
      return {at::where(mask.to(at::kBool), gradient, at::zeros_like(gradient)), none, none, none, none, none};
    }
    if (gradient.scalar_type() != at::kFloat || gradient.strides() != mask.strides()) {
      gradient = at::empty_like(mask, mask.options().dtype(at::kFloat)).copy_(gradient);
    }
    at::Tensor result = at::empty_like(gradient);
    mask_gradient(gradient.const_data_ptr<float>(), mask.const_data_ptr<uint8_t>(), result.mutable_data_ptr<float>(),
                  result.numel());
    return {result, none, none, none, none, none};
  }
};

int64_t checked_axis(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point, int64_t axis,
                     int64_t quant_min, int64_t quant_max) {
  if (quant_min > quant_max) {
    throw expected(kWhere, "quant_min", octet::str("at most quant_max ", quant_max), octet::str(quant_min));
  }
  if (axis >= x.dim() || axis < -1) {
    throw expected(kWhere, "axis", octet::str("below the input's rank ", x.dim()), octet::str(axis));
  }
  const int64_t channels = axis < 0 ? 1 : x.size(axis);
  if (scale.numel() != channels) {
    throw expected(kWhere, "scales", octet::str(channels), octet::str(scale.numel()));
  }
  if (zero_point.numel() != channels) {
    throw expected(kWhere, "zero points", octet::str(channels), octet::str(zero_point.numel()));
  }
  return axis;
}

}  // namespace

float float_bound(int64_t bound) {
  const auto nearest = static_cast<float>(bound);
  const bool outside = bound > 0 ? static_cast<double>(nearest) > static_cast<double>(bound)
                                 : static_cast<double>(nearest) < static_cast<double>(bound);
  return outside ? std::nextafter(nearest, 0.0F) : nearest;
}

at::Tensor flat_memory(const at::Tensor& x) {
  if (!x.is_non_overlapping_and_dense()) return x.contiguous().view({-1});
  return x.as_strided({x.numel()}, {1});
}

std::pair<at::Tensor, at::Tensor> min_max(const at::Tensor& x) {
  auto [low, high] = at::aminmax(flat_memory(x.detach()));
  return {low.to(at::kFloat), high.to(at::kFloat)};
}

at::Tensor fake_quantize_reference(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                                   int64_t axis, int64_t quant_min, int64_t quant_max) {
  checked_axis(x, scale, zero_point, axis, quant_min, quant_max);
  const bool is_half = x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16;
  const at::Tensor wide = is_half ? x.to(at::kFloat) : x;
  std::vector<int64_t> shape(static_cast<size_t>(std::max<int64_t>(x.dim(), 0)), 1);
  if (axis >= 0) shape[static_cast<size_t>(axis)] = x.size(axis);
  const at::Tensor s = scale.detach().to(x.device(), wide.scalar_type()).reshape(shape);
  const at::Tensor z = zero_point.detach().to(x.device(), wide.scalar_type()).reshape(shape);
  const double low = float_bound(quant_min);
  const double high = float_bound(quant_max);
  at::Tensor grid;
  at::Tensor mask;
  {
    at::NoGradGuard no_grad;
    const at::Tensor q = at::round(wide.detach() * at::reciprocal(s)) + z;
    mask = at::logical_and(q.ge(low), q.le(high));
    grid = (at::clamp(q, low, high) - z) * s;
  }
  if (!at::GradMode::is_enabled() || !wide.requires_grad()) return grid.to(x.scalar_type());
  // The value is the grid's, the gradient that of x where the mask holds: passing = x * mask has it, and its value
  // cancels.
  const at::Tensor passing = at::where(mask, wide, at::zeros_like(wide));
  return (grid + (passing - passing.detach())).to(x.scalar_type());
}

at::Tensor fake_quantize(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point, int64_t axis,
                         int64_t quant_min, int64_t quant_max) {
  checked_axis(x, scale, zero_point, axis, quant_min, quant_max);
  const bool fused = !reference_path() && x.device().is_cpu() && x.scalar_type() == at::kFloat &&
                     x.layout() == at::kStrided && scale.device().is_cpu() && zero_point.device().is_cpu();
  if (!fused) return fake_quantize_reference(x, scale, zero_point, axis, quant_min, quant_max);
  if (at::GradMode::is_enabled() && x.requires_grad()) {
    return FakeQuantizeFunction::apply(x, scale, zero_point, axis, quant_min, quant_max);
  }
  const at::Tensor input = dense(x.detach());
  at::Tensor y = at::empty_like(input);
  at::Tensor mask;
  quantize_dense(input, make_grids(scale, zero_point, quant_min, quant_max), axis, y, mask);
  return y;
}

TORCH_LIBRARY_FRAGMENT(octet, library) {
  library.def(
      "fake_quantize(Tensor x, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max) -> Tensor");
  library.impl("fake_quantize", c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(fake_quantize));
}

}  // namespace octet
