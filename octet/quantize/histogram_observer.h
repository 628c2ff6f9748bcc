#pragma once

#include <memory>
#include <string>

#include "octet/quantize/observers.h"
#include "octet/support/api.h"

namespace octet {

/// Keeps a histogram and picks the range whose quantization error (L2, mass spread evenly within a bin) is least, by
/// torchao's greedy search: quantiles move in steps of 1e-5 from the side that cuts more bins, until the error first
/// grows. Buffers `histogram` [bins], `min_val`, `max_val`, `eps`.
class OCTET_API HistogramObserver : public RangeObserver {
 public:
  explicit HistogramObserver(const ObserverArgs& args, double eps = kDefaultEps, int64_t bins = 2048);
  QParams calculate_qparams() const override;
  std::string type_name() const override { return "HistogramObserver"; }
  std::shared_ptr<CallableModule> copy() const override;
  void reset() override;
  int64_t bins() const { return histogram.numel(); }
  /// The range that the search picks, 0-dim float32 each; what calculate_qparams makes the grid from.
  std::pair<at::Tensor, at::Tensor> search_range() const;

  at::Tensor histogram;

 protected:
  void observe(const at::Tensor& x) override;

 private:
  at::Tensor rebinned(const at::Tensor& new_min, const at::Tensor& new_max) const;

  bool range_grows_ = false;  // with the last values: the next are looked at before they are counted
};

}  // namespace octet
