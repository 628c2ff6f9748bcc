#include "octet/quantize/fake_quantize.h"

#include <typeinfo>

#include "octet/quantize/assign_buffer.h"
#include "octet/quantize/fused_training.h"
#include "octet/support/error.h"

namespace octet {
namespace {

std::shared_ptr<ObserverBase> moving_average(const ObserverArgs& args, double averaging_constant, double eps,
                                             Averaging averaging) {
  if (args.qscheme == at::kPerChannelAffine || args.qscheme == at::kPerChannelSymmetric) {
    return std::make_shared<MovingAveragePerChannelMinMaxObserver>(args, averaging_constant, eps);
  }
  return std::make_shared<MovingAverageMinMaxObserver>(args, averaging_constant, eps, averaging);
}

template <typename... Kinds>
std::shared_ptr<ObserverBase> checked_kind(const char* where, const char* wanted,
                                           std::shared_ptr<ObserverBase> observer) {
  if (!observer || !((dynamic_cast<Kinds*>(observer.get()) != nullptr) || ...)) {
    throw expected(where, "observer", wanted, observer ? observer->type_name() : "none");
  }
  return observer;
}

}  // namespace

std::shared_ptr<ObserverBase> checked_moving_average(const char* where, std::shared_ptr<ObserverBase> observer) {
  return checked_kind<MovingAverageMinMaxObserver, MovingAveragePerChannelMinMaxObserver>(where, "a moving average",
                                                                                          std::move(observer));
}

FakeQuantizeBase::FakeQuantizeBase(const std::string& name) : ObserverBase() {
  fake_quant_enabled = register_buffer("fake_quant_enabled", at::ones({1}, at::kByte));
  observer_enabled = register_buffer("observer_enabled", at::ones({1}, at::kByte));
}

void FakeQuantizeBase::enable_fake_quant(bool on) { fake_quant_enabled.fill_(on ? 1 : 0); }
void FakeQuantizeBase::enable_observer(bool on) { observer_enabled.fill_(on ? 1 : 0); }
bool FakeQuantizeBase::is_fake_quant_enabled() const { return is_set(fake_quant_enabled); }
bool FakeQuantizeBase::is_observer_enabled() const { return is_set(observer_enabled); }

void FakeQuantizeBase::copy_flags_from(const FakeQuantizeBase& other) {
  torch::nn::Module::to(other.fake_quant_enabled.device());
  train(other.is_training());
  assign_buffer(fake_quant_enabled, other.fake_quant_enabled);
  assign_buffer(observer_enabled, other.observer_enabled);
}

at::Tensor FakeQuantizeBase::quantized(const at::Tensor& x, const QParams& grid) const {
  return fake_quantize(x, grid.scale, grid.zero_point, is_per_channel() ? ch_axis : -1, quant_min, quant_max);
}

FakeQuantize::FakeQuantize(const std::string& name, std::shared_ptr<ObserverBase> observer)
    : FakeQuantizeBase(name), observer_(std::move(observer)) {
  if (!observer_) throw Error(name, "needs an observer");
  if (dynamic_cast<FakeQuantizeBase*>(observer_.get()) != nullptr) {
    throw expected(name, "observer", "a plain observer", observer_->type_name());
  }
  if (!observer_->block_size.empty()) throw Error(name, "rounds per tensor or per channel, not in blocks");
  apply_args(*this, observer_->args(), name);
  const QParams grid = observer_->calculate_qparams();
  scale = register_buffer("scale", grid.scale.clone());
  zero_point = register_buffer("zero_point", grid.zero_point.clone());
  register_module("activation_post_process", observer_);
}

FakeQuantize::FakeQuantize(std::shared_ptr<ObserverBase> observer)
    : FakeQuantize("FakeQuantize", std::move(observer)) {}

void FakeQuantize::refresh() {
  const QParams grid = observer_->calculate_qparams();
  assign_buffer(scale, grid.scale);
  assign_buffer(zero_point, grid.zero_point);
}

at::Tensor FakeQuantize::forward(const at::Tensor& x) {
  if (x.numel() == 0) return x;
  if (is_observer_enabled()) {
    observer_->forward(x.detach());
    refresh();
  }
  return is_fake_quant_enabled() && has_data() ? quantized(x, {scale, zero_point}) : x;
}

QParams FakeQuantize::watch(const at::Tensor& low, const at::Tensor& high, const std::function<at::Tensor()>& values) {
  if (is_observer_enabled()) {
    // Others may see more in the values than their range.
    const ObserverBase& watching = *observer_;
    const std::type_info& kind = typeid(watching);
    const bool by_range = kind == typeid(MinMaxObserver) || kind == typeid(MovingAverageMinMaxObserver) ||
                          kind == typeid(PerChannelMinMaxObserver) ||
                          kind == typeid(MovingAveragePerChannelMinMaxObserver);
    auto* range = by_range ? dynamic_cast<RangeObserver*>(observer_.get()) : nullptr;
    if (range == nullptr || !range->forward_range(low, high)) observer_->forward(values());
    refresh();
  }
  return {scale, zero_point};
}

FakeQuantize* known_rounding(CallableModule* module) {
  auto* rounding = dynamic_cast<FakeQuantize*>(module);
  if (rounding == nullptr || rounding->is_dynamic) return nullptr;
  const std::type_info& kind = typeid(std::as_const(*rounding));
  const bool known = kind == typeid(FakeQuantize) || kind == typeid(FusedMovingAvgObsFakeQuantize) ||
                     kind == typeid(FixedQParamsFakeQuantize);
  return known ? rounding : nullptr;
}

std::optional<FusedGroup> FakeQuantize::fuse(const GraphModule& module, const Node& node) {
  return fuse_training_steps(module, node);
}

const RangeObserver* range_observer(const CallableModule& module) {
  const auto* fake = dynamic_cast<const FakeQuantize*>(&module);
  return dynamic_cast<const RangeObserver*>(fake != nullptr ? fake->observer().get() : &module);
}

RangeObserver* range_observer(CallableModule& module) {
  return const_cast<RangeObserver*>(range_observer(std::as_const(module)));
}

void FakeQuantize::begin_run() {
  if (auto* listener = dynamic_cast<RunListener*>(observer_.get())) listener->begin_run();
}

template <typename T>
std::shared_ptr<CallableModule> FakeQuantize::copied() const {
  auto twin = std::make_shared<T>(std::dynamic_pointer_cast<ObserverBase>(observer_->copy()));
  twin->copy_flags_from(*this);
  assign_buffer(twin->scale, scale);
  assign_buffer(twin->zero_point, zero_point);
  return twin;
}

std::shared_ptr<CallableModule> FakeQuantize::copy() const { return copied<FakeQuantize>(); }

FusedMovingAvgObsFakeQuantize::FusedMovingAvgObsFakeQuantize(const ObserverArgs& args, double averaging_constant,
                                                             double eps, Averaging averaging)
    : FusedMovingAvgObsFakeQuantize(moving_average(args, averaging_constant, eps, averaging)) {}

FusedMovingAvgObsFakeQuantize::FusedMovingAvgObsFakeQuantize(std::shared_ptr<ObserverBase> observer)
    : FakeQuantize("FusedMovingAvgObsFakeQuantize",
                   checked_moving_average("FusedMovingAvgObsFakeQuantize", std::move(observer))) {}

std::shared_ptr<CallableModule> FusedMovingAvgObsFakeQuantize::copy() const {
  return copied<FusedMovingAvgObsFakeQuantize>();
}

FixedQParamsFakeQuantize::FixedQParamsFakeQuantize(const ObserverArgs& args, double fixed_scale,
                                                   int64_t fixed_zero_point)
    : FixedQParamsFakeQuantize(std::make_shared<FixedQParamsObserver>(args, fixed_scale, fixed_zero_point)) {}

FixedQParamsFakeQuantize::FixedQParamsFakeQuantize(std::shared_ptr<ObserverBase> observer)
    : FakeQuantize("FixedQParamsFakeQuantize",
                   checked_kind<FixedQParamsObserver>("FixedQParamsFakeQuantize", "a FixedQParamsObserver",
                                                      std::move(observer))) {}

std::shared_ptr<CallableModule> FixedQParamsFakeQuantize::copy() const { return copied<FixedQParamsFakeQuantize>(); }

DerivedFakeQuantize::DerivedFakeQuantize(const ObserverArgs& args, std::vector<std::shared_ptr<ObserverBase>> sources,
                                         Derivation derivation)
    : FakeQuantizeBase("DerivedFakeQuantize"),
      observer_(std::make_shared<DerivedObserver>(args, std::move(sources), std::move(derivation))) {
  apply_args(*this, args, "DerivedFakeQuantize");
}

at::Tensor DerivedFakeQuantize::forward(const at::Tensor& x) {
  if (x.numel() == 0 || !is_fake_quant_enabled() || !has_data()) return x;
  return quantized(x, calculate_qparams());
}

std::shared_ptr<CallableModule> DerivedFakeQuantize::copy() const {
  auto twin = std::make_shared<DerivedFakeQuantize>(args(), observer_->sources(), observer_->derivation());
  twin->copy_flags_from(*this);
  return twin;
}

void DerivedFakeQuantize::relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) {
  observer_->relink(twin);
}

void enable_observer(torch::nn::Module& module) {
  if (auto* fake = dynamic_cast<FakeQuantizeBase*>(&module)) fake->enable_observer(true);
}
void disable_observer(torch::nn::Module& module) {
  if (auto* fake = dynamic_cast<FakeQuantizeBase*>(&module)) fake->enable_observer(false);
}
void enable_fake_quant(torch::nn::Module& module) {
  if (auto* fake = dynamic_cast<FakeQuantizeBase*>(&module)) fake->enable_fake_quant(true);
}
void disable_fake_quant(torch::nn::Module& module) {
  if (auto* fake = dynamic_cast<FakeQuantizeBase*>(&module)) fake->enable_fake_quant(false);
}

}  // namespace octet
