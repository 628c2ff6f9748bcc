#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/graph/fused_steps.h"
#include "octet/kernels/fake_quantize_kernel.h"
#include "octet/quantize/observers.h"
#include "octet/support/api.h"

namespace octet {

/// Base of the fake quantizers: buffers `fake_quant_enabled`, `observer_enabled` (uint8 [1]), switched by name or by
/// `module.apply(disable_observer)`.
class OCTET_API FakeQuantizeBase : public ObserverBase {
 public:
  void enable_fake_quant(bool on = true);
  void enable_observer(bool on = true);
  bool is_fake_quant_enabled() const;
  bool is_observer_enabled() const;

  at::Tensor fake_quant_enabled;
  at::Tensor observer_enabled;

 protected:
  explicit FakeQuantizeBase(const std::string& name);
  void copy_flags_from(const FakeQuantizeBase& other);
  /// `x` on this grid, with the straight-through gradient.
  at::Tensor quantized(const at::Tensor& x, const QParams& grid) const;
};

/// Watches its input through any observer, and rounds it to the observer's grid: buffers `scale`, `zero_point`,
/// submodule `activation_post_process`. The grid is choose_qparams' of the observed range, the same that convert
/// writes. Identity until data was seen.
class OCTET_API FakeQuantize : public FakeQuantizeBase, public RunListener, public FusesSteps {
 public:
  explicit FakeQuantize(std::shared_ptr<ObserverBase> observer);
  at::Tensor forward(const at::Tensor& x) override;
  void begin_run() override;
  /// The grid of the last forward, or of the loaded state.
  QParams calculate_qparams() const override { return {scale, zero_point}; }
  bool has_data() const override { return observer_->has_data(); }
  std::string type_name() const override { return "FakeQuantize"; }
  std::shared_ptr<CallableModule> copy() const override;
  const std::shared_ptr<ObserverBase>& observer() const { return observer_; }
  /// With the activation and the BatchNorm or sum in front of it (fused_training.h).
  std::optional<FusedGroup> fuse(const GraphModule& module, const Node& node) override;
  /// The first half of forward(), told by the range of what comes: the observer sees it, and this is the grid that x is
  /// rounded to. `values` makes x for an observer that wants to see more. 0-dim float32 each, or one a channel.
  QParams watch(const at::Tensor& low, const at::Tensor& high, const std::function<at::Tensor()>& values);
  /// Computes the grid anew from the observer, after its state was changed from outside.
  virtual void refresh();

  at::Tensor scale;
  at::Tensor zero_point;

 protected:
  FakeQuantize(const std::string& name, std::shared_ptr<ObserverBase> observer);
  template <typename T>
  std::shared_ptr<CallableModule> copied() const;

 private:
  std::shared_ptr<ObserverBase> observer_;
};

/// What keeps the range of an observer or fake quantizer: itself, or what it holds; nullptr where nothing does.
OCTET_API const RangeObserver* range_observer(const CallableModule& module);
OCTET_API RangeObserver* range_observer(CallableModule& module);

/// The fake quantizer where it is one whose forward() is known to be watch() and fake_quantize(), on a grid known
/// before the run; else null.
FakeQuantize* known_rounding(CallableModule* module);

/// The reference's fused class: a moving average of minimum and maximum, per tensor or per channel as the scheme says.
/// Here it honours eps and uses the one grid.
class OCTET_API FusedMovingAvgObsFakeQuantize : public FakeQuantize {
 public:
  explicit FusedMovingAvgObsFakeQuantize(const ObserverArgs& args, double averaging_constant = 0.01,
                                         double eps = kDefaultEps, Averaging averaging = Averaging::kEachCall);
  /// Around an existing MovingAverageMinMaxObserver or MovingAveragePerChannelMinMaxObserver.
  explicit FusedMovingAvgObsFakeQuantize(std::shared_ptr<ObserverBase> observer);
  std::string type_name() const override { return "FusedMovingAvgObsFakeQuantize"; }
  std::shared_ptr<CallableModule> copy() const override;
};

/// The observer, where it is a moving average of minimum and maximum; throws octet::Error naming `where` otherwise.
std::shared_ptr<ObserverBase> checked_moving_average(const char* where, std::shared_ptr<ObserverBase> observer);

/// Rounds to a grid known beforehand.
class OCTET_API FixedQParamsFakeQuantize : public FakeQuantize {
 public:
  FixedQParamsFakeQuantize(const ObserverArgs& args, double scale, int64_t zero_point);
  explicit FixedQParamsFakeQuantize(std::shared_ptr<ObserverBase> observer);
  std::string type_name() const override { return "FixedQParamsFakeQuantize"; }
  std::shared_ptr<CallableModule> copy() const override;
};

/// Rounds to a grid derived from other observers' (a bias to input scale * weight scale), so that training sees the
/// bias as the target will. Identity until every source has data.
class OCTET_API DerivedFakeQuantize : public FakeQuantizeBase {
 public:
  DerivedFakeQuantize(const ObserverArgs& args, std::vector<std::shared_ptr<ObserverBase>> sources,
                      Derivation derivation);
  at::Tensor forward(const at::Tensor& x) override;
  QParams calculate_qparams() const override { return observer_->calculate_qparams(); }
  bool has_data() const override { return observer_->has_data(); }
  std::string type_name() const override { return "DerivedFakeQuantize"; }
  std::shared_ptr<CallableModule> copy() const override;
  void relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) override;
  const std::shared_ptr<DerivedObserver>& derived() const { return observer_; }

 private:
  std::shared_ptr<DerivedObserver> observer_;
};

}  // namespace octet
