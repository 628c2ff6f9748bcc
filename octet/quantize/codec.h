#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "octet/formats/json.h"
#include "octet/graph/callable_module.h"
#include "octet/graph/graph_module.h"

namespace octet {

// Saving and loading what prepare put into a graph. A module's settings go into JSON, its state (ranges, histograms,
// flags) stays in its named buffers; a module is made from its JSON first, then its buffers are loaded, and once all
// modules of a graph are there, derived observers find their sources by name.

/// Name of a module that others refer to; throws where it has none.
using NameOfModule = std::function<std::string(const torch::nn::Module&)>;
using FindModule = std::function<std::shared_ptr<torch::nn::Module>(const std::string&)>;

/// Type and settings of an observer, a fake quantizer or a simulated conv-bn, those inside it included:
/// `{"type": "HistogramObserver", "dtype": "int8", "quant_min": -128, ..., "bins": 2048}`.
/// Throws octet::Error for a type that has no codec.
nlohmann::json callable_config(const CallableModule& module, const NameOfModule& name_of = nullptr);
/// The reverse, with fresh state, whose memory is charged; derived observers come without their sources. Errors name
/// the cursor's place.
std::shared_ptr<CallableModule> callable_from_config(const JsonCursor& config, Budget& budget);
/// Gives derived observers in `module` (made from `config`) the sources that the JSON names.
void resolve_sources(CallableModule& module, const JsonCursor& config, const FindModule& find);

/// Buffers under their dotted names, those of submodules included.
std::map<std::string, at::Tensor> named_state(const torch::nn::Module& module);
/// Copies values into the buffers of those names, which take the values' shapes: per-channel ranges grow on loading.
/// Throws octet::Error naming a buffer that is missing on either side, or whose dtype differs.
void load_state(torch::nn::Module& module, const std::map<std::string, at::Tensor>& state, const std::string& where);

/// Names of modules in a graph: its callables and all that stands inside them ("conv_bn_0.weight_fake_quant").
NameOfModule names_in(const GraphModule& module);
FindModule finder_in(const GraphModule& module);

}  // namespace octet
