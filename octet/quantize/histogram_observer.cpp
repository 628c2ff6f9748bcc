#include "octet/quantize/histogram_observer.h"

#include <cmath>

#include "octet/kernels/fake_quantize_kernel.h"
#include "octet/kernels/histogram_kernel.h"
#include "octet/kernels/small_tensors.h"
#include "octet/quantize/range_meeting.h"
#include "octet/support/error.h"

namespace octet {
namespace {

// Parts that an old bin is split into when the range grows.
constexpr int64_t kUpsample = 16;

// Bins whose numbers float32 holds.
constexpr int64_t kMostCounted = int64_t{1} << 24;

// The counts where every element lies between `low` and `high`, and the kernel takes them; else undefined.
at::Tensor counted_inside(const at::Tensor& x, int64_t bins, float low, float high) {
  const bool plain = x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
  if (!plain || !std::isfinite(high - low) || !(low < high) || bins > kMostCounted) return {};
  at::Tensor counts = at::empty({bins}, at::kFloat);
  const bool inside =
      count_bins(x.const_data_ptr<float>(), x.numel(), low, high, bins, counts.mutable_data_ptr<float>());
  return inside ? counts : at::Tensor();
}

at::Tensor counted(const at::Tensor& x, int64_t bins, float low, float high) {
  const at::Tensor counts = counted_inside(x, bins, low, high);
  return counts.defined() ? counts : at::histc(x, bins, static_cast<double>(low), static_cast<double>(high));
}

}  // namespace

HistogramObserver::HistogramObserver(const ObserverArgs& args, double eps, int64_t bins)
    : RangeObserver("HistogramObserver", args, eps, false, false) {
  if (bins < 1) throw expected("HistogramObserver", "bins", "1 or more", octet::str(bins));
  histogram = register_buffer("histogram", at::zeros({bins}, at::kFloat));
}

void HistogramObserver::observe(const at::Tensor& seen) {
  // Once the range stays, one pass is enough.
  if (reading == Reading::kPlain && seen.numel() > 0 && has_data() && !ranges_meet() && !range_grows_) {
    const at::Tensor counts =
        counted_inside(flat_memory(seen), bins(), first_value<float>(min_val), first_value<float>(max_val));
    if (counts.defined()) {
      histogram.add_(counts);
      return;
    }
  }
  const SeenRange found = look_at(seen);
  if (!found.low.defined()) return;
  at::Tensor low = found.low, high = found.high;
  const bool is_first = !has_data();
  if (!is_first) {
    low = at::minimum(min_val, low);
    high = at::maximum(max_val, high);
  }
  const auto least = first_value<float>(low), greatest = first_value<float>(high);
  range_grows_ = is_first || least < first_value<float>(min_val) || greatest > first_value<float>(max_val);
  const at::Tensor counts = counted(found.elements, bins(), least, greatest);
  meet_sum(counts);
  if (!is_first) counts.add_(rebinned(low, high));
  histogram.copy_(counts);
  min_val.copy_(low);
  max_val.copy_(high);
}

// The counts so far on the bins of a range that holds the present one.
at::Tensor HistogramObserver::rebinned(const at::Tensor& new_min, const at::Tensor& new_max) const {
  const float low = first_value<float>(min_val);
  const float high = first_value<float>(max_val);
  const float new_low = first_value<float>(new_min);
  const float new_high = first_value<float>(new_max);
  if (new_low == low && new_high == high) return histogram;
  if (low == high) {  // all mass at one value
    return counted(min_val.reshape({1}), bins(), new_low, new_high) * histogram.sum();
  }
  const int64_t parts = bins() * kUpsample;
  const at::Tensor part_width = (max_val - min_val) / parts;
  const at::Tensor middles =
      at::linspace(low, high, parts + 1, histogram.options()).slice(0, 0, parts) + part_width * 0.5;
  const at::Tensor edges = at::linspace(new_low, new_high, bins() + 1, histogram.options());
  at::Tensor counts = at::empty({bins()}, at::kFloat);
  const auto on_cpu = [](const at::Tensor& x) { return x.to(at::kCPU).contiguous(); };
  spread_bins(on_cpu(histogram).const_data_ptr<float>(), bins(), kUpsample, on_cpu(middles).const_data_ptr<float>(),
              on_cpu(edges).const_data_ptr<float>(), counts.mutable_data_ptr<float>());
  return counts.to(histogram.device());
}

std::pair<at::Tensor, at::Tensor> HistogramObserver::search_range() const {
  if (bins() < 1) throw expected("HistogramObserver", "bins", "1 or more", octet::str(bins()));  // a file may say so
  const at::Tensor counts = histogram.to(at::kCPU).contiguous();
  const at::Tensor cumulative = at::cumsum(counts, 0);
  const at::Tensor bin_width = (max_val - min_val) / bins();
  const auto width =
      (static_cast<double>(first_value<float>(max_val)) - static_cast<double>(first_value<float>(min_val))) /
      static_cast<double>(bins());
  const int64_t levels = int64_t{1} << (8 * c10::elementSize(dtype));
  const BinRange kept = search_least_error(counts.const_data_ptr<float>(), cumulative.const_data_ptr<float>(), bins(),
                                           counts.sum().item<double>(), width, levels);
  return {min_val + bin_width * kept.start, min_val + bin_width * (kept.end + 1)};
}

QParams HistogramObserver::calculate_qparams() const {
  if (!has_data()) return grid_of(min_val, max_val);
  const auto [low, high] = search_range();
  return grid_of(low, high);
}

void HistogramObserver::reset() {
  RangeObserver::reset();
  histogram.zero_();
}

std::shared_ptr<CallableModule> HistogramObserver::copy() const {
  auto twin = std::make_shared<HistogramObserver>(args(), eps(), bins());
  twin->copy_state_from(*this);
  at::NoGradGuard no_grad;
  twin->histogram.copy_(histogram);
  return twin;
}

}  // namespace octet
