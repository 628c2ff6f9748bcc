#include "octet/targets/engine/table_quantizer.h"

#include "octet/quantize/bias_pass.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/engine/annotator.h"

namespace octet::targets {

TableQuantizer::TableQuantizer(std::shared_ptr<const Target> target, QuantizerOptions options,
                               const std::string& where) {
  reset(std::move(target), std::move(options), where);
}

void TableQuantizer::reset(std::shared_ptr<const Target> target, QuantizerOptions options, const std::string& where) {
  if (target == nullptr) throw Error(where, "is given no target");
  options_ = completed(std::move(options), *target, where);
  target_ = std::move(target);
}

QuantizationPlan TableQuantizer::annotated(GraphModule& module) const {
  QuantizationPlan plan =
      targets::annotate(*target_, options_, module, [this](const Node& node) { return config_of(node); });
  if (target_->fit_constants) target_->fit_constants(module);
  return plan;
}

void TableQuantizer::run_passes(GraphModule& module) const {
  targets::run_passes(module, target_->chosen_passes(options_));
}

void TableQuantizer::transform_for_annotation(GraphModule& module) { run_passes(module); }

void TableQuantizer::annotate(GraphModule& module) {
  const QuantizationPlan plan = annotated(module);
  for (size_t i = 0; i < plan.overrides.size(); ++i) {
    const QuantizationPlan::Override& outcome = plan.overrides[i];
    const std::string name = octet::str("overrides[", i, "] (", options_.overrides[i].selector(), ")");
    if (outcome.matched.empty()) {
      log::warn(name, " matches no node of the model; octet quantize --explain lists the names");
    } else if (!outcome.in_effect && options_.overrides[i].quantize != true) {
      log::warn(name, " changes nothing of the ", outcome.matched.size(), " nodes that it matches");
    }
  }
  for (const QuantizationPlan::Entry& entry : plan.entries) {
    if (entry.refused && takes(*entry.node)) log::info(entry.node->where(), " stays in float: ", entry.reason);
  }
  for (Node* node : module.graph().nodes()) {
    if (!takes(*node)) node->notes().erase(kAnnotationKey);
  }
  const auto any = [&](auto is_kind) {
    return std::any_of(plan.entries.begin(), plan.entries.end(), [&](const QuantizationPlan::Entry& entry) {
      return is_kind(*entry.node) && is_annotated(*entry.node);
    });
  };
  if (any([](const Node& node) { return node.is_call(); })) return;
  if (!any([](const Node& node) { return node.kind() == NodeKind::kPlaceholder; })) {
    log::warn("no operator of this model fits what ", target_->name, " quantizes",
              options_.scheme.empty() ? "" : " in mode ", options_.scheme,
              ": nothing is quantized; octet check says why of each");
  } else {
    log::warn("no operator of this model is known to the ", target_->name, " quantizer: only its inputs are quantized");
  }
}

bool TableQuantizer::rounds_folded_biases() const {
  const QuantizationConfig chosen = config();
  const RoleConfig* bias = chosen.find(Role::kConvBias);
  return bias != nullptr && bias->derived;
}

void TableQuantizer::transform_converted(GraphModule& module) {
  if (options_.mode != QuantizationMode::kQat || !rounds_folded_biases()) return;
  const QuantizationConfig chosen = config();
  const RoleConfig* bias = chosen.find(Role::kConvBias);
  const bool symmetric = bias->quant_min && *bias->quant_min > std::numeric_limits<int32_t>::min();
  QuantizeFusedConvBnBiasAtenPass(/*default_zero_bias=*/false, symmetric)(module);
}

TableQuantizer::Explanation TableQuantizer::explain(const GraphModule& model) const {
  Explanation explanation{model.copy(), {}};
  if (options_.mode == QuantizationMode::kPtq) {  // as prepare does
    explanation.model->train(false);
    if (folds_batch_norms()) fold_batch_norms(*explanation.model);
  }
  run_passes(*explanation.model);
  explanation.plan = annotated(*explanation.model);
  return explanation;
}

}  // namespace octet::targets
