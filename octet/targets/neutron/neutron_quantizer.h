#pragma once

#include "octet/quantize/quantizer.h"
#include "octet/targets/neutron/operator_rules.h"
#include "octet/targets/neutron/quantizer_options.h"
#include "octet/targets/neutron/target_spec.h"

namespace octet {

/// What a quantizer decided, for people; the specs themselves are the nodes' annotations.
struct QuantizationPlan {
  struct Entry {
    const Node* node = nullptr;
    /// Why the node, its inputs or its output have no spec: "no rule", "left in float by overrides[0]", "computed
    /// together with 'relu'". Empty where nothing is missing.
    std::string reason;
  };
  struct Override {
    std::vector<std::string> matched;  ///< names of the nodes that it selects, in graph order
    bool in_effect = false;            ///< false where it changed nothing
  };
  std::vector<Entry> entries;       ///< inputs and operators in graph order
  std::vector<Override> overrides;  ///< one for each of the options'
};

/// Quantizes for NXP's Neutron NPU: int8 activations per tensor, int8 weights (convolutions per channel), int32 biases.
///
///     NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
///     auto prepared = prepare_qat_pt2e(model, quantizer);
///
/// Operators are matched by op and structure; what no rule knows stays in float. The result depends neither on the
/// order of the rules nor on what the object quantized before.
class NeutronQuantizer : public Quantizer {
 public:
  explicit NeutronQuantizer(NeutronTargetSpec target, bool is_qat = false);
  /// The same with another table, for a caller that adds or leaves out operators.
  NeutronQuantizer(NeutronTargetSpec target, bool is_qat, std::vector<neutron::OperatorRule> rules);
  /// With choices of the caller's; throws octet::Error where check_options() does.
  explicit NeutronQuantizer(NeutronOptions options,
                            std::vector<neutron::OperatorRule> rules = neutron::operator_rules());

  /// Removes dead code and runs the target's graph passes (passes/passes.h) to a fixed point.
  void transform_for_annotation(GraphModule& module) override;
  /// Logs a warning where nothing but inputs could be quantized, and for each override that selects no node or changes
  /// nothing. Throws octet::Error where an override names an observer that does not serve the weight it selects.
  void annotate(GraphModule& module) override;

  struct Explanation {
    std::shared_ptr<GraphModule> model;  ///< a copy, as the passes leave it, annotated
    QuantizationPlan plan;
  };
  /// What prepare would do with this float model, which stays as it is.
  Explanation explain(const GraphModule& model) const;

  const NeutronTargetSpec& target() const { return target_; }
  bool is_qat() const { return options_.is_qat; }
  const NeutronOptions& options() const { return options_; }

 private:
  class Annotator;

  void run_passes(GraphModule& module) const;

  NeutronOptions options_;
  NeutronTargetSpec target_;
  std::vector<neutron::OperatorRule> rules_;
};

}  // namespace octet
