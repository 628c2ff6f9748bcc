#pragma once

#include <memory>
#include <vector>

#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/histogram_observer.h"
#include "octet/quantize/observers.h"
#include "octet/support/api.h"

namespace octet {

// What a QuantizationSpec's `observer_or_fake_quant` is filled with. Factories of equal settings have equal names.

OCTET_API ObserverFactory min_max_observer(double eps = kDefaultEps);
OCTET_API ObserverFactory moving_average_min_max_observer(double averaging_constant = 0.01, double eps = kDefaultEps,
                                                          Averaging averaging = Averaging::kEachCall);
OCTET_API ObserverFactory per_channel_min_max_observer(double eps = kDefaultEps);
OCTET_API ObserverFactory moving_average_per_channel_min_max_observer(double averaging_constant = 0.01,
                                                                      double eps = kDefaultEps);
/// For specs with a block_size.
OCTET_API ObserverFactory block_min_max_observer(MappingType mapping = MappingType::kSymmetric,
                                                 double eps = kDefaultEps);
OCTET_API ObserverFactory histogram_observer(double eps = kDefaultEps, int64_t bins = 2048);
OCTET_API ObserverFactory placeholder_observer(double eps = kDefaultEps);
OCTET_API ObserverFactory recording_observer();
OCTET_API ObserverFactory noop_observer();
/// A FakeQuantize around what `observer` makes.
OCTET_API ObserverFactory fake_quantize(const ObserverFactory& observer);
/// Per tensor or per channel as the spec's scheme says.
OCTET_API ObserverFactory fused_moving_avg_fake_quantize(double averaging_constant = 0.01, double eps = kDefaultEps,
                                                         Averaging averaging = Averaging::kEachCall);
/// A KernelGridFakeQuantize around a moving average.
OCTET_API ObserverFactory kernel_grid_fake_quantize(const ObserverFactory& moving_average);

// From a spec to its observer; prepare calls these. Throw octet::Error with the spec's text for a broken spec.

OCTET_API std::shared_ptr<ObserverBase> make_observer(const QuantizationSpec& spec);
/// FixedQParamsObserver, or FixedQParamsFakeQuantize where `qat`.
OCTET_API std::shared_ptr<ObserverBase> make_observer(const FixedQParamsQuantizationSpec& spec, bool qat);
/// DerivedObserver, or DerivedFakeQuantize where `qat`; `sources` stand in the order of `spec.derived_from`.
OCTET_API std::shared_ptr<ObserverBase> make_observer(const DerivedQuantizationSpec& spec,
                                                      std::vector<std::shared_ptr<ObserverBase>> sources, bool qat);

}  // namespace octet
