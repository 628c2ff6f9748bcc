#include "octet/targets/neutron/neutron_quantizer.h"

#include <map>

#include "octet/targets/neutron/operator_rules.h"
#include "octet/targets/neutron/target.h"

namespace octet {
namespace {

targets::QuantizerOptions in_mode(bool is_qat) {
  targets::QuantizerOptions options;
  options.mode = is_qat ? QuantizationMode::kQat : QuantizationMode::kPtq;
  return options;
}

targets::QuantizerOptions by_name(const NeutronOptions& choices) {
  targets::QuantizerOptions options = in_mode(choices.is_qat);
  static const std::map<Gelu, std::string> gelu = {
      {Gelu::kFloat, "float"}, {Gelu::kSigmoid, "sigmoid"}, {Gelu::kTanh, "tanh"}};
  options.settings = {{"mul_range", choices.mul_range == MulRange::kObserved ? "observed" : "reference"},
                      {"sigmoid_input", choices.sigmoid_input == SigmoidInput::kObserved ? "observed" : "reference"},
                      {"gelu", gelu.at(choices.gelu)},
                      {"norms", choices.integer_norms ? "integer" : "float"},
                      {"unroll_rnn", choices.unroll_rnn ? "yes" : "no"},
                      {"qat_ranges", choices.qat_ranges == QatRanges::kJoint ? "joint" : "reference"}};
  options.without_passes = choices.without_passes;
  options.overrides = choices.overrides;
  return options;
}

std::shared_ptr<const targets::Target> shared(targets::Target target) {
  return std::make_shared<const targets::Target>(std::move(target));
}

}  // namespace

NeutronQuantizer::NeutronQuantizer(const NeutronTargetSpec& target, bool is_qat)
    : TableQuantizer(shared(neutron::target(target)), in_mode(is_qat)) {}

NeutronQuantizer::NeutronQuantizer(const NeutronTargetSpec& target, bool is_qat,
                                   std::vector<targets::OperatorRule> rules)
    : TableQuantizer(shared(neutron::target(target, std::move(rules))), in_mode(is_qat)) {}

NeutronQuantizer::NeutronQuantizer(const NeutronOptions& options)
    : TableQuantizer(shared(neutron::target(NeutronTargetSpec(options.target))), by_name(options), "NeutronOptions") {}

}  // namespace octet
