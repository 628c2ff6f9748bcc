#include "octet/targets/xnnpack/xnnpack_quantizer.h"

#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/pattern_annotator.h"
#include "octet/targets/xnnpack/patterns.h"

namespace octet {
namespace xnnpack {

using targets::Role;
using targets::RoleConfig;
using targets::Rounding;
using targets::Watch;

Config get_symmetric_quantization_config(bool is_per_channel, bool is_qat, bool is_dynamic, int64_t act_qmin,
                                         int64_t act_qmax, int64_t weight_qmin, int64_t weight_qmax) {
  constexpr double kEps = 0x1p-12;
  RoleConfig activation = {.quant_min = act_qmin, .quant_max = act_qmax, .dynamic = is_dynamic, .eps = kEps};
  activation.after_training = {is_dynamic ? Watch::kNothing : Watch::kHistogram};
  activation.in_training = {.watch = Watch::kMovingAverage,
                            .rounding = is_dynamic ? Rounding::kFakeQuantize : Rounding::kFused,
                            .averaging_constant = is_dynamic ? 1.0 : 0.01,
                            .averaging = Averaging::kEachCall};
  RoleConfig weight = {.quant_min = weight_qmin,
                       .quant_max = weight_qmax,
                       .symmetric = true,
                       .per_channel = is_per_channel,
                       .eps = kEps};
  weight.in_training = {
      .watch = Watch::kMovingAverage, .rounding = Rounding::kFused, .averaging = Averaging::kEachCall};
  Config config;
  config.numbers.roles = {{Role::kActivation, activation}, {Role::kWeight, weight}};
  config.mode = is_qat ? QuantizationMode::kQat : QuantizationMode::kPtq;
  targets::check(config.numbers, "get_symmetric_quantization_config");
  return config;
}

Config with_reference_quirks(Config config) {
  targets::round_to_kernel_grids(config.numbers);
  const RoleConfig* weight = config.numbers.find(Role::kWeight);
  if (config.mode != QuantizationMode::kQat || weight == nullptr || !weight->per_channel) return config;
  RoleConfig transposed = *weight;
  transposed.channel_axis = 0;
  config.numbers.roles[Role::kTransposedConvWeight] = transposed;
  return config;
}

std::vector<targets::Pass> passes() {
  return {{"convert_scalars_to_attributes", [](GraphModule& module) {
             return targets::convert_scalars_of(module, {"aten.add.Tensor", "aten.mul.Tensor"});
           }}};
}

}  // namespace xnnpack

namespace {

// What set_operator_type takes for a pattern in the reference: the key chooses patterns there, not nodes.
std::vector<std::string> reference_keys(const targets::QuantizationPattern& pattern) {
  const bool transposed = pattern.ops.front().find("conv_transpose") != std::string_view::npos;
  const bool conv = pattern.ops.front().find(".conv") != std::string_view::npos;
  if (conv && !transposed) return {"aten.conv1d.default", "aten.conv2d.default", "aten.convolution.default"};
  if (!transposed) return {std::string(pattern.ops.front())};
  std::vector<std::string> keys;
  for (const std::string_view op : pattern.ops) {
    keys.emplace_back(op);
    keys.emplace_back(op.substr(0, op.rfind('.')));  // the packet
  }
  return keys;
}

}  // namespace

XNNPACKQuantizer& XNNPACKQuantizer::set(Kind kind, const std::string& pattern, Chosen config) {
  if (kind != Kind::kGlobal && pattern.empty())
    throw Error("XNNPACKQuantizer", "a setting selects nothing: its name is empty");
  for (Choice& choice : choices_) {
    if (choice.kind == kind && choice.pattern == pattern) {
      choice.config = std::move(config);
      return *this;
    }
  }
  const auto behind =
      std::find_if(choices_.begin(), choices_.end(), [&](const Choice& choice) { return choice.kind > kind; });
  choices_.insert(behind, {kind, pattern, std::move(config)});
  return *this;
}

XNNPACKQuantizer& XNNPACKQuantizer::set_global(Chosen config) { return set(Kind::kGlobal, "", std::move(config)); }

XNNPACKQuantizer& XNNPACKQuantizer::set_operator_type(const std::string& op, Chosen config) {
  return set(Kind::kOperatorType, op, std::move(config));
}

XNNPACKQuantizer& XNNPACKQuantizer::set_module_type(const std::string& type, Chosen config) {
  return set(Kind::kModuleType, type, std::move(config));
}

XNNPACKQuantizer& XNNPACKQuantizer::set_module_name(const std::string& name, Chosen config) {
  return set(Kind::kName, name, std::move(config));
}

XNNPACKQuantizer& XNNPACKQuantizer::set_filter_function(std::function<bool(const Node&)> filter) {
  filter_ = std::move(filter);
  return *this;
}

XNNPACKQuantizer& XNNPACKQuantizer::set_reference_quirks(bool on) {
  reference_quirks_ = on;
  return *this;
}

std::optional<QuantizationMode> XNNPACKQuantizer::mode() const {
  std::optional<QuantizationMode> mode;
  for (const Choice& choice : choices_) {
    if (!choice.config) continue;
    if (mode && *mode != choice.config->mode) {
      throw Error("XNNPACKQuantizer", octet::str("one config is for ", text(*mode), " quantization, another for ",
                                                 text(choice.config->mode)))
          .hint("make all of them for one");
    }
    mode = choice.config->mode;
  }
  return mode;
}

void XNNPACKQuantizer::transform_for_annotation(GraphModule& module) { targets::run_passes(module, xnnpack::passes()); }

bool XNNPACKQuantizer::selects(const Choice& choice, const Node& node) {
  return targets::ScopeChoice{choice.kind, choice.pattern}.selects(node);
}

// By name and by type of module the first in order wins that annotates; what they select, later kinds leave alone.
bool XNNPACKQuantizer::holds(size_t index, const Node& node) const {
  const Choice& choice = choices_[index];
  if (choice.config && filter_ && !filter_(node)) return false;
  const bool by_module = choice.kind == Kind::kName || choice.kind == Kind::kModuleType;
  // The reference asks about the weight too, which belongs to no module, and about the operators of whole patterns.
  if (reference_quirks_ && by_module && choice.config && node.is(Trait::kConvolution)) return false;
  if (!(reference_quirks_ && choice.kind == Kind::kOperatorType) && !selects(choice, node)) return false;
  const auto own = choices_.begin() + static_cast<std::ptrdiff_t>(index);
  return std::none_of(choices_.begin(), own, [&](const Choice& earlier) {
    const bool module = earlier.kind == Kind::kName || earlier.kind == Kind::kModuleType;
    const bool counts = choice.config ? module && !by_module : earlier.config.has_value();
    return counts && selects(earlier, node);
  });
}

std::vector<targets::PatternScope> XNNPACKQuantizer::scopes() const {
  std::vector<targets::PatternScope> made;
  for (size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    targets::PatternScope scope;
    if (choice.config) {
      scope.config = (reference_quirks_ ? xnnpack::with_reference_quirks(*choice.config) : *choice.config).numbers;
    }
    scope.holds = [this, i](const Node& node) { return holds(i, node); };
    if (reference_quirks_ && choice.kind == Kind::kOperatorType) {
      scope.tries = [op = choice.pattern](const targets::QuantizationPattern& pattern) {
        const std::vector<std::string> keys = reference_keys(pattern);
        return std::find(keys.begin(), keys.end(), op) != keys.end();
      };
    } else if (reference_quirks_ && choice.kind != Kind::kGlobal) {
      scope.tries = [](const targets::QuantizationPattern& pattern) { return pattern.name != "linear_relu"; };
    }
    made.push_back(std::move(scope));
  }
  return made;
}

void XNNPACKQuantizer::annotate(GraphModule& module) {
  const targets::QuantizerOptions none{.mode = mode().value_or(QuantizationMode::kPtq)};
  const targets::ChosenSpecs specs(none, module.graph());
  const targets::PatternTable table = xnnpack::patterns(reference_quirks_);
  const std::vector<targets::PatternScope> made = scopes();
  const targets::QuantizationPlan plan = targets::annotate_patterns(table, made, none.mode, module, specs);
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (plan.scopes[i] > 0) continue;
    const char* setter[] = {"set_module_name", "set_module_type", "set_operator_type", "set_global"};
    const Choice& choice = choices_[i];
    log::warn("XNNPACKQuantizer: ", setter[static_cast<size_t>(choice.kind)], choice.pattern.empty() ? "" : "('",
              choice.pattern, choice.pattern.empty() ? "" : "')",
              " quantizes nothing of this model: no pattern starts at ",
              "an operator that it selects, or an earlier setting has taken all");
  }
}

}  // namespace octet
