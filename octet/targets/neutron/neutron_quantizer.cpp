#include "octet/targets/neutron/neutron_quantizer.h"

#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/neutron/passes/pass_manager.h"

namespace octet {

using neutron::Fusion;
using neutron::InputRule;
using neutron::OperatorRule;
using neutron::Sharing;
using neutron::SpecKind;

namespace {

bool lends_parameters(const Node* producer) {
  const QuantizationAnnotation* note = annotation(*producer);
  return note != nullptr && note->output_qspec.has_value();
}

Node* only_user(const Node& node) { return node.user_count() == 1 ? node.users().front() : nullptr; }

bool normalizes(const Node& norm, const Node& input) {
  return norm.is_call("aten.batch_norm.default") && norm.arg("input").node() == &input;
}

// The grid known beforehand that the value lies on, by its own spec or by one that it shares; else nullptr.
const FixedQParamsQuantizationSpec* fixed_grid(const Node* producer) {
  const QuantizationAnnotation* note = annotation(*producer);
  while (note != nullptr && note->output_qspec) {
    if (const auto* fixed = std::get_if<FixedQParamsQuantizationSpec>(&*note->output_qspec)) return fixed;
    const auto* shared = std::get_if<SharedQuantizationSpec>(&*note->output_qspec);
    if (shared == nullptr || shared->edge_or_node.consumer != nullptr) return nullptr;
    note = annotation(*shared->edge_or_node.node);
  }
  return nullptr;
}

bool is_float_value(const Node& node) { return !node.meta() || at::isFloatingType(node.meta()->dtype); }

}  // namespace

// One walk in graph order: every producer is decided before its readers, so that shared parameters need no second look,
// and no rule can come too early.
class NeutronQuantizer::Annotator {
 public:
  Annotator(const NeutronQuantizer& quantizer, Graph& graph) : quantizer_(quantizer), graph_(graph) {}

  // How many operators got an annotation.
  int64_t run() {
    int64_t decided = 0;
    for (Node* node : graph_.nodes()) {
      if (node->kind() == NodeKind::kPlaceholder) {
        if (node->user_count() > 0 && is_float_value(*node)) write_output(*node, spec(SpecKind::kActivation));
        continue;
      }
      if (!is_annotated(*node)) annotate(*node);
      if (node->is_call() && is_annotated(*node)) ++decided;
    }
    return decided;
  }

 private:
  AnySpec spec(SpecKind kind) const { return neutron::make_spec(kind, quantizer_.is_qat_); }

  static void write_output(Node& node, AnySpec output) {
    QuantizationAnnotation& note = ensure_annotation(node);
    note.output_qspec = std::move(output);
    note.annotated = true;
  }

  // What the node reads in the argument of this input rule: one node, the elements of a list, or none.
  static std::vector<Node*> producers(const Node& node, const InputRule& input) {
    std::vector<Node*> found;
    if (node.has_arg(input.argument)) {
      node.arg(input.argument).for_each_node([&](Node* producer) { found.push_back(producer); });
    }
    return found;
  }

  void annotate(Node& node) {
    const OperatorRule* rule = neutron::find_rule(node, quantizer_.rules_);
    if (rule == nullptr || (rule->qat_only && !quantizer_.is_qat_) || !is_float_value(node)) return;
    if (rule->own_output_in_activation_bounds && has_activation_bounds(node)) {
      annotate_inputs(node, {{rule->inputs[0].argument, SpecKind::kActivation}});
      write_output(node, spec(SpecKind::kActivation));
    } else if (rule->sharing != Sharing::kNone) {
      annotate_shared(node, *rule);
    } else {
      annotate_inputs(node, rule->inputs);
      annotate_output(node, *rule);
    }
  }

  bool has_activation_bounds(const Node& node) const {
    const auto bounds = neutron::clipping_bounds(node);
    const auto& known = quantizer_.target_.limits().activation_bounds;
    return bounds && std::find(known.begin(), known.end(), *bounds) != known.end();
  }

  void annotate_shared(Node& node, const OperatorRule& rule) {
    std::vector<Node*> inputs;
    for (const InputRule& input : rule.inputs) {
      for (Node* producer : producers(node, input)) inputs.push_back(producer);
    }
    if (inputs.empty()) return;
    if (rule.sharing == Sharing::kFirstInput) {
      if (lends_parameters(inputs.front())) share_all(node, inputs, EdgeOrNode(inputs.front()));
      return;
    }
    // An observed grid first: on another's fixed grid, values beyond it would be cut off.
    const auto observed = std::find_if(inputs.begin(), inputs.end(), [](const Node* producer) {
      return lends_parameters(producer) && fixed_grid(producer) == nullptr;
    });
    if (observed != inputs.end()) return share_all(node, inputs, EdgeOrNode(*observed));
    const bool any = std::any_of(inputs.begin(), inputs.end(), lends_parameters);
    if (!any && rule.sharing != Sharing::kAnyInputOrOwn) return;
    const auto* first = fixed_grid(inputs.front());
    const bool same_grid = first != nullptr && std::all_of(inputs.begin(), inputs.end(), [&](const Node* producer) {
                             const auto* grid = fixed_grid(producer);
                             return grid != nullptr && *grid == *first;
                           });
    share_all(node, inputs, same_grid ? EdgeOrNode(inputs.front()) : EdgeOrNode(inputs.front(), &node));
  }

  // All edges and the output have the parameters of `anchor`; where that is one of the edges, it gets its own.
  void share_all(Node& node, const std::vector<Node*>& inputs, const EdgeOrNode& anchor) const {
    QuantizationAnnotation note;
    note.annotated = true;
    const AnySpec shared = SharedQuantizationSpec{anchor};
    for (Node* producer : inputs) {
      note.set_input(producer, EdgeOrNode(producer, &node) == anchor ? spec(SpecKind::kActivation) : shared);
    }
    note.output_qspec = shared;
    ensure_annotation(node) = std::move(note);
  }

  void annotate_inputs(Node& node, const std::vector<InputRule>& rules) {
    QuantizationAnnotation& note = ensure_annotation(node);
    note.annotated = true;
    Node* input = nullptr;
    Node* weight = nullptr;
    for (const InputRule& rule : rules) {
      for (Node* producer : producers(node, rule)) {
        if (note.input(producer) != nullptr) continue;  // x + x: one edge
        note.set_input(producer, input_spec(rule.spec, node, producer, input, weight ? weight : input));
        (input == nullptr ? input : weight) = producer;
      }
    }
  }

  AnySpec input_spec(SpecKind kind, Node& node, Node* producer, Node* input, Node* weight) const {
    if (kind == SpecKind::kConvBias || kind == SpecKind::kLinearBias) {
      return neutron::make_bias_spec(kind, &node, input, weight);
    }
    // A second grid for the same value would only cost a requantization.
    if (kind == SpecKind::kActivation && fixed_grid(producer) != nullptr)
      return SharedQuantizationSpec{EdgeOrNode(producer)};
    return spec(kind);
  }

  void annotate_output(Node& node, const OperatorRule& rule) {
    if (annotate_fused_activation(node, rule)) return;
    if (quantizer_.is_qat_ && rule.drops_output_before_batch_norm) {
      const Node* user = only_user(node);
      if (user != nullptr && normalizes(*user, node)) return;
    }
    write_output(node, spec(rule.output));
  }

  // The node and the activation behind it become one: nothing is quantized between them.
  bool annotate_fused_activation(Node& node, const OperatorRule& rule) {
    if (rule.fusion == Fusion::kNone) return false;
    if (rule.fusion == Fusion::kActivationIfMatrix && (!node.meta() || node.meta()->rank() > 2)) return false;
    Node* user = only_user(node);
    Node* norm = nullptr;
    if (user != nullptr && quantizer_.is_qat_ && rule.fusion == Fusion::kActivationThroughBatchNorm &&
        normalizes(*user, node)) {
      norm = user;
      user = only_user(*norm);
    }
    if (user == nullptr || is_annotated(*user)) return false;
    const OperatorRule* activation = neutron::find_rule(*user, quantizer_.rules_);
    if (activation == nullptr || !neutron::is_fusable_activation(*user, quantizer_.target_.limits())) return false;
    if (norm != nullptr) ensure_annotation(*norm).annotated = true;
    write_output(*user, spec(activation->output == SpecKind::kShared ? SpecKind::kActivation : activation->output));
    return true;
  }

  const NeutronQuantizer& quantizer_;
  Graph& graph_;
};

NeutronQuantizer::NeutronQuantizer(NeutronTargetSpec target, bool is_qat)
    : NeutronQuantizer(std::move(target), is_qat, neutron::operator_rules()) {}

NeutronQuantizer::NeutronQuantizer(NeutronTargetSpec target, bool is_qat, std::vector<neutron::OperatorRule> rules)
    : target_(std::move(target)), is_qat_(is_qat), rules_(std::move(rules)) {}

void NeutronQuantizer::transform_for_annotation(GraphModule& module) {
  neutron::run_passes(module, neutron::default_passes(target_.limits(), is_qat_));
}

void NeutronQuantizer::annotate(GraphModule& module) {
  const int64_t decided = Annotator(*this, module.graph()).run();
  if (decided > 0) return;
  log::warn("no operator of this model is known to the ", target_.name(), " quantizer: only its inputs are quantized");
}

}  // namespace octet
