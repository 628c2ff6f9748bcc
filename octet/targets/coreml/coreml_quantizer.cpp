#include "octet/targets/coreml/coreml_quantizer.h"

#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/coreml/patterns.h"
#include "octet/targets/engine/pattern_annotator.h"

namespace octet {
namespace coreml {
namespace {

using targets::Role;
using targets::RoleConfig;
using targets::Rounding;
using targets::Watch;

at::ScalarType type_of(Dtype dtype, const char* what) {
  switch (dtype) {
    case Dtype::kQint4:
      log::warn("CoreMLQuantizer: ", what, " of qint4 are quantized to int8 with its whole range, as in coremltools");
      return at::kChar;
    case Dtype::kQuint4:
      log::warn("CoreMLQuantizer: ", what, " of quint4 are quantized to uint8 with its whole range, as in coremltools");
      return at::kByte;
    case Dtype::kQint8:
      return at::kChar;
    default:
      return at::kByte;
  }
}

RoleConfig numbers(at::ScalarType dtype, bool symmetric, bool per_channel, ObserverType observer) {
  RoleConfig made;
  made.dtype = dtype;
  made.symmetric = symmetric;
  made.per_channel = per_channel;
  made.after_training = {.watch = observer == ObserverType::kMinMax ? Watch::kMinMax : Watch::kMovingAverage,
                         .rounding = Rounding::kFakeQuantize,
                         .averaging = Averaging::kEachCall};
  made.in_training = made.after_training;
  return made;
}

}  // namespace

std::optional<targets::QuantizationConfig> quantization_config(const ModuleLinearQuantizerConfig& config) {
  if (config.weight_dtype == Dtype::kFloat32) return std::nullopt;
  if (config.activation_dtype == Dtype::kQint4 || config.activation_dtype == Dtype::kQuint4) {
    throw Error("ModuleLinearQuantizerConfig", "activation_dtype: expected quint8, qint8 or float32, got four bits");
  }
  const bool symmetric = config.quantization_scheme == QuantizationScheme::kSymmetric;
  targets::QuantizationConfig made;
  made.roles[Role::kWeight] =
      numbers(type_of(config.weight_dtype, "weights"), symmetric, config.weight_per_channel, config.weight_observer);
  if (config.activation_dtype == Dtype::kFloat32) return made;
  const auto activation = [&](bool is_symmetric) {
    return numbers(type_of(config.activation_dtype, "activations"), is_symmetric, false, config.activation_observer);
  };
  made.roles[Role::kActivation] = activation(symmetric);
  made.roles[Role::kNonNegative] = activation(false);
  made.roles[Role::kSignedUnit] = activation(true);
  return made;
}

}  // namespace coreml

CoreMLQuantizer::CoreMLQuantizer(coreml::LinearQuantizerConfig config, bool reference_quirks)
    : reference_quirks_(reference_quirks) {
  const auto add = [&](targets::ScopeKind kind, const std::string& pattern,
                       const coreml::LinearQuantizerConfig::Module& chosen) {
    if (kind != targets::ScopeKind::kGlobal && pattern.empty()) {
      throw Error("LinearQuantizerConfig", "an entry selects nothing: its name is empty");
    }
    choices_.emplace_back(targets::ScopeChoice{kind, pattern},
                          chosen ? coreml::quantization_config(*chosen) : std::nullopt);
  };
  for (const auto& [name, chosen] : config.module_name_configs) add(targets::ScopeKind::kName, name, chosen);
  for (const auto& [type, chosen] : config.module_type_configs) {
    const bool is_operator = type.rfind("aten.", 0) == 0;
    add(is_operator ? targets::ScopeKind::kOperatorType : targets::ScopeKind::kModuleType, type, chosen);
  }
  add(targets::ScopeKind::kGlobal, "", config.global_config);
}

std::vector<targets::PatternScope> CoreMLQuantizer::scopes() const {
  std::vector<targets::ScopeChoice> selected;
  for (const auto& [scope, config] : choices_) selected.push_back(scope);
  std::vector<targets::PatternScope> made;
  for (size_t i = 0; i < choices_.size(); ++i) {
    targets::PatternScope scope;
    scope.config = choices_[i].second;
    scope.holds = [selected, i](const Node& node) { return targets::falls_to(selected, i, node); };
    if (reference_quirks_ && selected[i].kind != targets::ScopeKind::kGlobal) {
      // Its filter asks a weight too, which belongs to no module.
      scope.tries = [](const targets::QuantizationPattern& pattern) {
        return std::none_of(pattern.inputs.begin(), pattern.inputs.end(), [](const targets::InputRule& input) {
          return targets::family(input.role) == targets::Role::kWeight;
        });
      };
    }
    made.push_back(std::move(scope));
  }
  return made;
}

void CoreMLQuantizer::annotate(GraphModule& module) {
  const std::vector<Node*> nodes = module.graph().nodes();
  for (const auto& [scope, config] : choices_) {
    const bool any = std::any_of(nodes.begin(), nodes.end(),
                                 [&](const Node* node) { return node->is_call() && scope.selects(*node); });
    if (!any && scope.kind != targets::ScopeKind::kGlobal) {
      log::warn("CoreMLQuantizer: '", scope.pattern, "' selects no operator of the model");
    }
  }
  const targets::QuantizerOptions none;
  const targets::ChosenSpecs specs(none, module.graph());
  targets::annotate_patterns(coreml::patterns(!reference_quirks_), scopes(), none.mode, module, specs);
}

}  // namespace octet
