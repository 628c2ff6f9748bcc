#pragma once

#include <memory>
#include <vector>

#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/histogram_observer.h"
#include "octet/quantize/observers.h"

namespace octet {

// What a QuantizationSpec's `observer_or_fake_quant` is filled with. Factories of equal settings have equal names.

ObserverFactory min_max_observer(double eps = kDefaultEps);
ObserverFactory moving_average_min_max_observer(double averaging_constant = 0.01, double eps = kDefaultEps);
ObserverFactory per_channel_min_max_observer(double eps = kDefaultEps);
ObserverFactory moving_average_per_channel_min_max_observer(double averaging_constant = 0.01, double eps = kDefaultEps);
ObserverFactory histogram_observer(double eps = kDefaultEps, int64_t bins = 2048);
ObserverFactory placeholder_observer(double eps = kDefaultEps);
ObserverFactory recording_observer();
ObserverFactory noop_observer();
/// A FakeQuantize around what `observer` makes.
ObserverFactory fake_quantize(const ObserverFactory& observer);
/// Per tensor or per channel as the spec's scheme says.
ObserverFactory fused_moving_avg_fake_quantize(double averaging_constant = 0.01, double eps = kDefaultEps);

// From a spec to its observer; prepare calls these. Throw octet::Error with the spec's text for a broken spec.

std::shared_ptr<ObserverBase> make_observer(const QuantizationSpec& spec);
/// FixedQParamsObserver, or FixedQParamsFakeQuantize where `qat`.
std::shared_ptr<ObserverBase> make_observer(const FixedQParamsQuantizationSpec& spec, bool qat);
/// DerivedObserver, or DerivedFakeQuantize where `qat`; `sources` stand in the order of `spec.derived_from`.
std::shared_ptr<ObserverBase> make_observer(const DerivedQuantizationSpec& spec,
                                            std::vector<std::shared_ptr<ObserverBase>> sources, bool qat);

}  // namespace octet
