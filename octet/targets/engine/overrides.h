#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octet/graph/node.h"
#include "octet/support/api.h"
#include "octet/support/error.h"
#include "octet/targets/engine/quantization_config.h"

namespace octet::targets {

/// A choice for some of a model's operators.
///
/// `module` and `op` select; where both are given both must match. In patterns `*` stands for any characters, dots
/// too, and `?` for one. Names are those of the graph as the target's passes leave it: module names come through them,
/// but a conv1d may be a conv2d by then.
struct OCTET_API Override {
  /// Matched against the dotted name of the module that the operator belongs to ("features.0.0", as its weights' names
  /// or the exporter say) and against the node's own name ("conv2d_1").
  std::string module;
  /// Matched against "aten.conv2d.default", "aten.conv2d", "conv2d.default" and "conv2d". "input" is an input of the
  /// model.
  std::string op;
  /// False leaves the operator in float: it gets no annotation, and its neighbours behave as beside an operator that no
  /// rule knows. An override that names a scheme or an observer asks for quantization too.
  std::optional<bool> quantize;
  /// One of the target's schemes (Target::schemes), in place of the one of all others. Empty: as it is.
  std::string scheme;
  /// The observer of the activation ranges that the operator owns: its output (or that of the activation computed
  /// together with it), and inputs whose producer has no grid. Empty: as it is. "histogram" (not in training),
  /// "min_max", "moving_average_min_max".
  std::string activation_observer;
  /// The observer of its weight: "min_max", "moving_average_min_max", "histogram" (not in training) where the weight
  /// has one scale; "per_channel_min_max", "moving_average_per_channel_min_max" where it has one a channel.
  std::string weight_observer;

  bool operator==(const Override&) const = default;
  /// "module 'features.*', op 'conv2d'"
  std::string selector() const;
};

/// Throws octet::Error naming the setting ("[config.json: overrides[2].activation_observer] ..."): an override that
/// selects nothing or says nothing, a pattern that names no operator, a scheme that is none of `schemes`, an unknown
/// observer or one that does not serve the mode, quantize false beside others, two overrides with equal selectors.
OCTET_API void check_overrides(const std::vector<Override>& overrides, QuantizationMode mode,
                               const std::vector<std::string>& schemes, const std::string& where);

/// `*` any characters, `?` one.
OCTET_API bool glob_matches(std::string_view pattern, std::string_view text);
OCTET_API bool selects(const Override& choice, const Node& node);
/// True where the pattern matches an operator that libtorch or octet registered, or is "input".
OCTET_API bool names_operator(const std::string& pattern);

/// What the overrides say of one node; each field the index of the override that says it. Later ones win over earlier
/// ones, setting by setting.
struct NodeChoices {
  std::optional<size_t> left_in_float;
  std::optional<size_t> scheme;
  std::optional<size_t> activation_observer;
  std::optional<size_t> weight_observer;
};
OCTET_API NodeChoices choices_for(const std::vector<Override>& overrides, const Node& node);

/// The observer (in training: the fake quantizer) of this name for a role of these numbers. Throws octet::Error naming
/// `where` where it serves another granularity or mode.
OCTET_API ObserverFactory observer_by_name(const std::string& name, const RoleConfig& numbers, QuantizationMode mode,
                                           const std::string& where);

/// "[where] expected one of WANTED, got 'GOT'".
OCTET_API Error wrong_choice(const std::string& where, const std::string& wanted, const std::string& got);
/// "config.json: overrides[0]"
OCTET_API std::string below(const std::string& where, const std::string& path);

}  // namespace octet::targets
