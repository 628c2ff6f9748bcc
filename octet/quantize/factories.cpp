#include "octet/quantize/factories.h"

#include <cmath>

#include "octet/quantize/kernel_grid_fake_quantize.h"
#include "octet/support/error.h"

namespace octet {
namespace {

std::string eps_text(double eps) {
  if (eps == kDefaultEps) return "";
  int exponent = 0;
  if (std::frexp(eps, &exponent) == 0.5) return octet::str("eps=2^", exponent - 1);
  return octet::str("eps=", eps);
}

// "Name(a=1, eps=2^-12)", defaults left out.
std::string named(const std::string& type, const std::vector<std::string>& settings) {
  std::string inside;
  for (const std::string& setting : settings) {
    if (!setting.empty()) inside += (inside.empty() ? "" : ", ") + setting;
  }
  return inside.empty() ? type : octet::str(type, "(", inside, ")");
}

std::string constant_text(double constant) {
  return constant == 0.01 ? "" : octet::str("averaging_constant=", constant);
}

std::string averaging_text(Averaging averaging) { return averaging == Averaging::kEachRun ? "averaging=each run" : ""; }

}  // namespace

ObserverFactory min_max_observer(double eps) {
  return {named("MinMaxObserver", {eps_text(eps)}),
          [eps](const ObserverArgs& args) { return std::make_shared<MinMaxObserver>(args, eps); }};
}

ObserverFactory moving_average_min_max_observer(double averaging_constant, double eps, Averaging averaging) {
  return {named("MovingAverageMinMaxObserver",
                {constant_text(averaging_constant), eps_text(eps), averaging_text(averaging)}),
          [=](const ObserverArgs& args) {
            return std::make_shared<MovingAverageMinMaxObserver>(args, averaging_constant, eps, averaging);
          }};
}

ObserverFactory per_channel_min_max_observer(double eps) {
  return {named("PerChannelMinMaxObserver", {eps_text(eps)}),
          [eps](const ObserverArgs& args) { return std::make_shared<PerChannelMinMaxObserver>(args, eps); }};
}

ObserverFactory moving_average_per_channel_min_max_observer(double averaging_constant, double eps) {
  return {named("MovingAveragePerChannelMinMaxObserver", {constant_text(averaging_constant), eps_text(eps)}),
          [=](const ObserverArgs& args) {
            return std::make_shared<MovingAveragePerChannelMinMaxObserver>(args, averaging_constant, eps);
          }};
}

ObserverFactory block_min_max_observer(MappingType mapping, double eps) {
  return {named("BlockMinMaxObserver", {mapping == MappingType::kSymmetric ? "" : text(mapping), eps_text(eps)}),
          [=](const ObserverArgs& args) { return std::make_shared<BlockMinMaxObserver>(args, mapping, eps); }};
}

ObserverFactory histogram_observer(double eps, int64_t bins) {
  return {named("HistogramObserver", {eps_text(eps), bins == 2048 ? "" : octet::str("bins=", bins)}),
          [=](const ObserverArgs& args) { return std::make_shared<HistogramObserver>(args, eps, bins); }};
}

ObserverFactory placeholder_observer(double eps) {
  return {named("PlaceholderObserver", {eps_text(eps)}),
          [eps](const ObserverArgs& args) { return std::make_shared<PlaceholderObserver>(args, eps); }};
}

ObserverFactory recording_observer() {
  return {"RecordingObserver", [](const ObserverArgs& args) { return std::make_shared<RecordingObserver>(args); }};
}

ObserverFactory noop_observer() {
  return {"NoopObserver", [](const ObserverArgs& args) { return std::make_shared<NoopObserver>(args); }};
}

ObserverFactory fake_quantize(const ObserverFactory& observer) {
  return {octet::str("FakeQuantize(", observer.name, ")"),
          [make = observer.make](const ObserverArgs& args) { return std::make_shared<FakeQuantize>(make(args)); }};
}

ObserverFactory fused_moving_avg_fake_quantize(double averaging_constant, double eps, Averaging averaging) {
  return {named("FusedMovingAvgObsFakeQuantize",
                {constant_text(averaging_constant), eps_text(eps), averaging_text(averaging)}),
          [=](const ObserverArgs& args) {
            return std::make_shared<FusedMovingAvgObsFakeQuantize>(args, averaging_constant, eps, averaging);
          }};
}

ObserverFactory kernel_grid_fake_quantize(const ObserverFactory& moving_average) {
  return {octet::str("KernelGridFakeQuantize(", moving_average.name, ")"),
          [make = moving_average.make](const ObserverArgs& args) {
            return std::make_shared<KernelGridFakeQuantize>(make(args));
          }};
}

std::shared_ptr<ObserverBase> make_observer(const QuantizationSpec& spec) {
  validate(spec, text(spec));
  auto observer = spec.observer_or_fake_quant.make({.dtype = spec.dtype,
                                                    .quant_min = spec.quant_min,
                                                    .quant_max = spec.quant_max,
                                                    .qscheme = spec.qscheme,
                                                    .ch_axis = spec.ch_axis.value_or(0),
                                                    .is_dynamic = spec.is_dynamic,
                                                    .zero_point = spec.zero_point,
                                                    .block_size = spec.block_size});
  if (!observer) throw Error(text(spec), "observer_or_fake_quant makes no observer");
  return observer;
}

std::shared_ptr<ObserverBase> make_observer(const FixedQParamsQuantizationSpec& spec, bool qat) {
  validate(spec, text(spec));
  const ObserverArgs args{.dtype = spec.dtype,
                          .quant_min = spec.quant_min,
                          .quant_max = spec.quant_max,
                          .qscheme = spec.qscheme,
                          .is_dynamic = spec.is_dynamic};
  if (qat) return std::make_shared<FixedQParamsFakeQuantize>(args, spec.scale, spec.zero_point);
  return std::make_shared<FixedQParamsObserver>(args, spec.scale, spec.zero_point);
}

std::shared_ptr<ObserverBase> make_observer(const DerivedQuantizationSpec& spec,
                                            std::vector<std::shared_ptr<ObserverBase>> sources, bool qat) {
  validate(spec, text(spec));
  if (sources.size() != spec.derived_from.size()) {
    throw expected(text(spec), "observers to derive from", octet::str(spec.derived_from.size()),
                   octet::str(sources.size()));
  }
  const ObserverArgs args{.dtype = spec.dtype,
                          .quant_min = spec.quant_min,
                          .quant_max = spec.quant_max,
                          .qscheme = spec.qscheme,
                          .ch_axis = spec.ch_axis.value_or(0)};
  Derivation derivation{spec.derive_name, spec.derive_qparams};
  if (qat) return std::make_shared<DerivedFakeQuantize>(args, std::move(sources), std::move(derivation));
  return std::make_shared<DerivedObserver>(args, std::move(sources), std::move(derivation));
}

}  // namespace octet
