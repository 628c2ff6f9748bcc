#pragma once

#include <memory>
#include <string>

#include "octet/quantize/fake_quantize.h"
#include "octet/support/api.h"

namespace octet {

/// FusedMovingAvgObsFakeQuantize as the reference has it: values are rounded to the grid that the kernel
/// fused_moving_avg_obs_fake_quant chooses of the range, and convert writes another, the observer's. The kernel's: no
/// eps; no scale below 6.1e-5, the range widened to match, so that 16 bits cut nothing off within 4; symmetric grids
/// reach -(n+1) levels down and n up, and are affine where all values lie on one side of 0. For rows that equal the
/// reference's in training; whoever trains wants FusedMovingAvgObsFakeQuantize.
class OCTET_API KernelGridFakeQuantize : public FakeQuantize {
 public:
  /// Around a MovingAverageMinMaxObserver or MovingAveragePerChannelMinMaxObserver.
  explicit KernelGridFakeQuantize(std::shared_ptr<ObserverBase> observer);
  QParams calculate_qparams() const override { return observer()->calculate_qparams(); }
  std::string type_name() const override { return "KernelGridFakeQuantize"; }
  std::shared_ptr<CallableModule> copy() const override;
  void refresh() override;
};

}  // namespace octet
