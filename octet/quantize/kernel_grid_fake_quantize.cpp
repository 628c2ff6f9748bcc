#include "octet/quantize/kernel_grid_fake_quantize.h"

#include <ATen/native/quantized/cpu/QuantUtils.h>

#include "octet/quantize/assign_buffer.h"

namespace octet {
namespace {

bool is_symmetric(const ObserverBase& observer) {
  return observer.qscheme == at::kPerTensorSymmetric || observer.qscheme == at::kPerChannelSymmetric;
}

}  // namespace

KernelGridFakeQuantize::KernelGridFakeQuantize(std::shared_ptr<ObserverBase> observer)
    : FakeQuantize("KernelGridFakeQuantize", checked_moving_average("KernelGridFakeQuantize", std::move(observer))) {}

void KernelGridFakeQuantize::refresh() {
  FakeQuantize::refresh();
  const auto* range = dynamic_cast<const RangeObserver*>(observer().get());
  if (!has_data() || range->min_val.numel() != scale.numel()) return;
  const at::Tensor low = range->min_val.to(at::kCPU).flatten().contiguous();
  const at::Tensor high = range->max_val.to(at::kCPU).flatten().contiguous();
  at::Tensor scales = at::empty(scale.sizes(), at::kFloat);
  at::Tensor zero_points = at::empty(zero_point.sizes(), at::kLong);
  for (int64_t i = 0; i < low.numel(); ++i) {
    const auto grid = quant_utils::ChooseQuantizationParams(
        low.const_data_ptr<float>()[i], high.const_data_ptr<float>()[i], static_cast<int32_t>(quant_min),
        static_cast<int32_t>(quant_max), is_symmetric(*this));
    scales.mutable_data_ptr<float>()[i] = static_cast<float>(grid.scale);
    zero_points.mutable_data_ptr<int64_t>()[i] = grid.zero_point;
  }
  assign_buffer(scale, scales.to(scale.device()));
  assign_buffer(zero_point, zero_points.to(zero_point.device()));
}

std::shared_ptr<CallableModule> KernelGridFakeQuantize::copy() const {
  auto twin = std::make_shared<KernelGridFakeQuantize>(std::dynamic_pointer_cast<ObserverBase>(observer()->copy()));
  twin->copy_flags_from(*this);
  assign_buffer(twin->scale, scale);
  assign_buffer(twin->zero_point, zero_point);
  return twin;
}

}  // namespace octet
