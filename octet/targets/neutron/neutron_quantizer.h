#pragma once

#include "octet/quantize/quantizer.h"
#include "octet/targets/neutron/operator_rules.h"
#include "octet/targets/neutron/target_spec.h"

namespace octet {

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

  /// Removes dead code and runs the target's graph passes (passes/passes.h) to a fixed point.
  void transform_for_annotation(GraphModule& module) override;
  /// Logs a warning where nothing but inputs could be quantized.
  void annotate(GraphModule& module) override;

  const NeutronTargetSpec& target() const { return target_; }
  bool is_qat() const { return is_qat_; }

 private:
  class Annotator;

  NeutronTargetSpec target_;
  bool is_qat_;
  std::vector<neutron::OperatorRule> rules_;
};

}  // namespace octet
