#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "octet/graph/node.h"
#include "octet/quantize/spec.h"
#include "octet/targets/neutron/quantization_specs.h"

namespace octet {

/// The grid of what mul reads.
enum class MulRange {
  kReference,  ///< fixed: scale 1/256, zero point 0, as in the reference; saturates beyond -0.5 .. 0.496
  kObserved,   ///< an observed range, as of any activation
};

/// The grid of what sigmoid and tanh read of the convolution or product before them.
enum class SigmoidInput {
  kObserved,   ///< an observed range: the two are quantized apart
  kReference,  ///< none, as in the reference: the two are quantized as one. Its lowering then puts the sigmoid's own
               ///< grid, 0 .. 1, between them, and everything below 0 is lost
};

/// A choice for some of a model's operators.
///
/// `module` and `op` select; where both are given both must match. In patterns `*` stands for any characters, dots
/// too, and `?` for one. Names are those of the graph as the target's passes leave it: module names come through them,
/// but a conv1d is a conv2d by then.
struct NeutronOverride {
  /// Matched against the dotted name of the module that the operator belongs to ("features.0.0", as its weights' names
  /// or the exporter say) and against the node's own name ("conv2d_1").
  std::string module;
  /// Matched against "aten.conv2d.default", "aten.conv2d", "conv2d.default" and "conv2d". "input" is an input of the
  /// model.
  std::string op;
  /// False leaves the operator in float: it gets no annotation, and its neighbours behave as beside an operator that no
  /// rule knows. An override that names an observer asks for quantization too.
  std::optional<bool> quantize;
  /// The observer of the activation ranges that the operator owns: its output (or that of the activation computed
  /// together with it), and inputs whose producer has no grid. Empty: as it is. "histogram" (not in training),
  /// "min_max", "moving_average_min_max".
  std::string activation_observer;
  /// The observer of its weight: "min_max", "moving_average_min_max", "histogram" (not in training) where the weight
  /// has one scale; "per_channel_min_max", "moving_average_per_channel_min_max" where it has one a channel.
  std::string weight_observer;

  bool operator==(const NeutronOverride&) const = default;
  /// "module 'features.*', op 'conv2d'"
  std::string selector() const;
};

/// What can be chosen of a NeutronQuantizer.
struct NeutronOptions {
  std::string target = "imxrt700";
  bool is_qat = false;
  MulRange mul_range = MulRange::kReference;
  SigmoidInput sigmoid_input = SigmoidInput::kObserved;
  /// Later ones win over earlier ones, setting by setting.
  std::vector<NeutronOverride> overrides;
  bool operator==(const NeutronOptions&) const = default;
};

/// Throws octet::Error naming the setting ("[config.json: overrides[2].activation_observer] ..."): an unknown target,
/// an override that selects nothing or says nothing, a pattern that names no operator, an unknown observer or one that
/// does not serve the mode, quantize false beside an observer, two overrides with equal selectors.
void check_options(const NeutronOptions& options, const std::string& where);

/// What a model was calibrated with.
struct CalibrationFacts {
  std::string data;        ///< as open_data() takes it
  int64_t samples = 0;     ///< at most; 0: all
  int64_t batch_size = 0;  ///< 0: as the data has it
  uint64_t seed = 0;
  bool operator==(const CalibrationFacts&) const = default;
};

/// A config file:
///
///     {
///       "version": 1,
///       "target": "imxrt700",
///       "qat": false,
///       "mul_range": "observed",
///       "sigmoid_input": "observed",
///       "overrides": [
///         {"module": "features.0.*", "quantize": false},
///         {"op": "linear", "activation_observer": "min_max", "weight_observer": "min_max"}
///       ],
///       "calibration": {"data": "npy:calib_*.npy", "samples": 256, "batch_size": 32, "seed": 0}
///     }
///
/// Only "version" must be there; of "calibration", "data".
struct QuantizerConfig {
  NeutronOptions options;
  std::optional<CalibrationFacts> calibration;
  /// "training": the flags of the training that gave the model beside it, text by text; a record, nothing reads it.
  std::vector<std::pair<std::string, std::string>> training;
  bool operator==(const QuantizerConfig&) const = default;
};

/// The schema version that is written, and read.
inline constexpr int64_t kConfigVersion = 1;

/// Reads a config file's text and checks its options. `is_qat` stands for the file's "qat" where it is given. Throws
/// octet::Error naming `where` and the key for unknown keys, wrong types, unknown names, and all that check_options()
/// refuses.
QuantizerConfig parse_config(std::string_view text, const std::string& where,
                             std::optional<bool> is_qat = std::nullopt);
/// The inverse.
nlohmann::ordered_json to_json(const QuantizerConfig& config);

const char* text(MulRange range);
/// Throws octet::Error naming `where`, and the known ones, for another text.
MulRange mul_range_from_text(const std::string& text, const std::string& where);
const char* text(SigmoidInput input);
SigmoidInput sigmoid_input_from_text(const std::string& text, const std::string& where);

/// True where the pattern matches an operator that libtorch or octet registered, or is "input".
bool names_operator(const std::string& pattern);

namespace neutron {

/// `*` any characters, `?` one.
bool glob_matches(std::string_view pattern, std::string_view text);
bool selects(const NeutronOverride& choice, const Node& node);

/// What the overrides say of one node; each field the index of the override that says it.
struct NodeChoices {
  std::optional<size_t> left_in_float;
  std::optional<size_t> activation_observer;
  std::optional<size_t> weight_observer;
};
NodeChoices choices_for(const NeutronOptions& options, const Node& node);

/// The observer (in training: the fake quantizer) of this name for a spec of `kind`. Throws octet::Error naming
/// `where` where it serves another scheme.
ObserverFactory observer_by_name(const std::string& name, SpecKind kind, bool is_qat, const std::string& where);

}  // namespace neutron
}  // namespace octet
