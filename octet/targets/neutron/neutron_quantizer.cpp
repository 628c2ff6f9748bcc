#include "octet/targets/neutron/neutron_quantizer.h"

#include "octet/quantize/fold_batch_norm.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/neutron/passes/pass_manager.h"
#include "octet/targets/neutron/passes/rewrite.h"

namespace octet {

using neutron::Fusion;
using neutron::InputRule;
using neutron::only_user;
using neutron::OperatorRule;
using neutron::Sharing;
using neutron::SpecKind;

namespace {

bool lends_parameters(const Node* producer) {
  const QuantizationAnnotation* note = annotation(*producer);
  return note != nullptr && note->output_qspec.has_value();
}

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

// The spec that makes the observer of the value, its own or one that it shares; nullptr where it has none.
const AnySpec* concrete_output(const Node* producer) {
  const QuantizationAnnotation* note = annotation(*producer);
  const AnySpec* spec = note != nullptr && note->output_qspec ? &*note->output_qspec : nullptr;
  while (spec != nullptr) {
    const auto* shared = std::get_if<SharedQuantizationSpec>(spec);
    if (shared == nullptr) return spec;
    const EdgeOrNode& anchor = shared->edge_or_node;
    note = annotation(std::as_const(anchor.consumer != nullptr ? *anchor.consumer : *anchor.node));
    if (note == nullptr) return nullptr;
    spec = anchor.consumer != nullptr ? note->input(anchor.node) : note->output_qspec ? &*note->output_qspec : nullptr;
  }
  return nullptr;
}

bool is_float_value(const Node& node) { return !node.meta() || at::isFloatingType(node.meta()->dtype); }

}  // namespace

// One walk in graph order: every producer is decided before its readers, so that shared parameters need no second look,
// and no rule can come too early.
class NeutronQuantizer::Annotator {
 public:
  Annotator(const NeutronQuantizer& quantizer, Graph& graph) : quantizer_(quantizer), graph_(graph) {
    for (const Node* node : graph.nodes()) choices_[node] = neutron::choices_for(quantizer.options_, *node);
  }

  QuantizationPlan run() {
    const auto& overrides = quantizer_.options_.overrides;
    plan_.overrides.resize(overrides.size());
    for (Node* node : graph_.nodes()) {
      const bool input = node->kind() == NodeKind::kPlaceholder;
      if (!input && !node->is_call()) continue;
      for (size_t i = 0; i < overrides.size(); ++i) {
        if (neutron::selects(overrides[i], *node)) plan_.overrides[i].matched.push_back(node->name());
      }
      if (input) {
        annotate_placeholder(*node);
      } else if (!is_annotated(*node)) {
        annotate(*node);
      }
    }
    for (const Node* node : graph_.nodes()) {
      const bool counts = node->kind() == NodeKind::kPlaceholder || node->is_call();
      if (counts) plan_.entries.push_back({node, reasons_[node]});
    }
    return std::move(plan_);
  }

 private:
  // What an override says that is followed is in effect.
  std::optional<size_t> follow(std::optional<size_t> index) const {
    if (index) plan_.overrides[*index].in_effect = true;
    return index;
  }

  // The product that a BatchNorm of training goes into: the two are one, in float or quantized.
  const Node* product_of_batch_norm(const Node& node) const {
    if (!quantizer_.is_qat() || !node.is_call("aten.batch_norm.default")) return nullptr;
    const Node* product = node.arg("input").node();
    const OperatorRule* rule = product == nullptr ? nullptr : neutron::find_rule(*product, quantizer_.rules_);
    const bool joined = rule != nullptr && rule->drops_output_before_batch_norm && only_user(*product) == &node;
    return joined ? product : nullptr;
  }

  // The override that leaves the node in float.
  std::optional<size_t> left_in_float(const Node& node) const {
    const Node* product = product_of_batch_norm(node);
    return choices_.at(product != nullptr ? product : &node).left_in_float;
  }

  AnySpec spec(SpecKind kind) const { return neutron::make_spec(kind, quantizer_.is_qat()); }

  // The same with the observer that an override of one of the nodes names; the last override wins.
  AnySpec activation_spec(SpecKind kind, const std::vector<const Node*>& owners) const {
    AnySpec made = spec(kind);
    auto* plain = std::get_if<QuantizationSpec>(&made);
    std::optional<size_t> chosen;
    for (const Node* owner : owners) {
      if (owner != nullptr) chosen = std::max(chosen, choices_.at(owner).activation_observer);
    }
    if (plain == nullptr || !follow(chosen)) return made;
    const std::string where = octet::str(owners.front()->where(), ": overrides[", *chosen, "].activation_observer");
    plain->observer_or_fake_quant = neutron::observer_by_name(
        quantizer_.options_.overrides[*chosen].activation_observer, kind, quantizer_.is_qat(), where);
    return made;
  }

  AnySpec weight_spec(SpecKind kind, const Node& node) const {
    AnySpec made = spec(kind);
    const std::optional<size_t> chosen = follow(choices_.at(&node).weight_observer);
    if (!chosen) return made;
    const std::string where = octet::str(node.where(), ": overrides[", *chosen, "].weight_observer");
    std::get<QuantizationSpec>(made).observer_or_fake_quant = neutron::observer_by_name(
        quantizer_.options_.overrides[*chosen].weight_observer, kind, quantizer_.is_qat(), where);
    return made;
  }

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

  void annotate_placeholder(Node& node) {
    const std::optional<size_t> left = follow(left_in_float(node));
    if (left) {
      reasons_[&node] = octet::str("left in float by overrides[", *left, "]");
    } else if (!is_float_value(node) || node.user_count() == 0) {
      reasons_[&node] = node.user_count() == 0 ? "nothing reads it" : "its value is no float tensor";
    } else {
      write_output(node, activation_spec(SpecKind::kActivation, {&node}));
    }
  }

  void annotate(Node& node) {
    const OperatorRule* rule = neutron::find_rule(node, quantizer_.rules_);
    const std::optional<size_t> left = follow(left_in_float(node));
    if (left) {
      const Node* product = product_of_batch_norm(node);
      reasons_[&node] = product != nullptr ? octet::str("computed together with '", product->name(), "', in float")
                                           : octet::str("left in float by overrides[", *left, "]");
    } else if (rule == nullptr) {
      reasons_[&node] = "no rule";
    } else if (rule->qat_only && !quantizer_.is_qat()) {
      reasons_[&node] = "no rule after training";
    } else if (!is_float_value(node)) {
      reasons_[&node] = "its value is no float tensor";
    } else if (rule->own_output_in_activation_bounds && has_activation_bounds(node)) {
      annotate_inputs(node, {{rule->inputs[0].argument, SpecKind::kActivation}});
      write_output(node, activation_spec(SpecKind::kActivation, {&node}));
    } else if (rule->sharing != Sharing::kNone) {
      annotate_shared(node, *rule);
    } else {
      annotate_inputs(node, rule->inputs);
      annotate_output(node, *rule);
    }
  }

  bool has_activation_bounds(const Node& node) const {
    const auto bounds = clipping_bounds(node);
    const auto& known = quantizer_.target_.limits().activation_bounds;
    return bounds && std::find(known.begin(), known.end(), *bounds) != known.end();
  }

  void annotate_shared(Node& node, const OperatorRule& rule) {
    std::vector<Node*> inputs;
    for (const InputRule& input : rule.inputs) {
      for (Node* producer : producers(node, input)) inputs.push_back(producer);
    }
    if (inputs.empty()) return;
    reasons_[&node] = octet::str("would share the grid of '", inputs.front()->name(), "', which has none");
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
  void share_all(Node& node, const std::vector<Node*>& inputs, const EdgeOrNode& anchor) {
    reasons_.erase(&node);
    QuantizationAnnotation note;
    note.annotated = true;
    const AnySpec shared = SharedQuantizationSpec{anchor};
    for (Node* producer : inputs) {
      const bool own = EdgeOrNode(producer, &node) == anchor;
      note.set_input(producer, own ? activation_spec(SpecKind::kActivation, {&node}) : shared);
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
    if (kind == SpecKind::kHalf && quantizer_.options_.mul_range == MulRange::kObserved) kind = SpecKind::kActivation;
    // A second grid for the same value would only cost a requantization.
    if (kind == SpecKind::kActivation) {
      if (fixed_grid(producer) != nullptr) return SharedQuantizationSpec{EdgeOrNode(producer)};
      if (const AnySpec* lent = same_but_observer(producer)) return *lent;
    }
    const bool weighs =
        kind == SpecKind::kWeight || kind == SpecKind::kConvWeight || kind == SpecKind::kTransposedWeight;
    return weighs ? weight_spec(kind, node) : activation_spec(kind, {&node});
  }

  // The producer's spec where it is an activation's, whatever observes it.
  const AnySpec* same_but_observer(const Node* producer) const {
    const AnySpec* lent = concrete_output(producer);
    const auto* plain = lent == nullptr ? nullptr : std::get_if<QuantizationSpec>(lent);
    if (plain == nullptr) return nullptr;
    QuantizationSpec own = std::get<QuantizationSpec>(spec(SpecKind::kActivation));
    own.observer_or_fake_quant = plain->observer_or_fake_quant;
    return own == *plain ? lent : nullptr;
  }

  void annotate_output(Node& node, const OperatorRule& rule) {
    if (annotate_fused_activation(node, rule)) return;
    if (quantizer_.is_qat() && rule.drops_output_before_batch_norm) {
      const Node* user = only_user(node);
      if (user != nullptr && normalizes(*user, node)) {
        reasons_[&node] = together(*user);
        return;
      }
    }
    write_output(node, activation_spec(rule.output, {&node, product_of_batch_norm(node)}));
  }

  static std::string together(const Node& other) { return octet::str("computed together with '", other.name(), "'"); }

  // The node and the activation behind it become one: nothing is quantized between them.
  bool annotate_fused_activation(Node& node, const OperatorRule& rule) {
    if (rule.fusion == Fusion::kNone) return false;
    if (rule.fusion == Fusion::kActivationIfMatrix && (!node.meta() || node.meta()->rank() > 2)) return false;
    Node* user = only_user(node);
    Node* norm = nullptr;
    if (user != nullptr && quantizer_.is_qat() && rule.fusion == Fusion::kActivationThroughBatchNorm &&
        normalizes(*user, node)) {
      norm = user;
      user = only_user(*norm);
    }
    if (user == nullptr || is_annotated(*user) || left_in_float(*user)) return false;
    const OperatorRule* activation = neutron::find_rule(*user, quantizer_.rules_);
    if (activation == nullptr || !neutron::is_fusable_activation(*user, quantizer_.target_.limits())) return false;
    const bool has_fixed_grid = activation->output == SpecKind::kUnit || activation->output == SpecKind::kSignedUnit;
    if (has_fixed_grid && quantizer_.options_.sigmoid_input == SigmoidInput::kObserved) return false;
    if (norm != nullptr) {
      ensure_annotation(*norm).annotated = true;
      reasons_[norm] = together(node);
    }
    const SpecKind kind = activation->output == SpecKind::kShared ? SpecKind::kActivation : activation->output;
    write_output(*user, activation_spec(kind, {user, &node, norm, product_of_batch_norm(node)}));
    reasons_[&node] = together(*user);
    reasons_[user] = together(node);
    return true;
  }

  const NeutronQuantizer& quantizer_;
  Graph& graph_;
  std::map<const Node*, neutron::NodeChoices> choices_;
  std::map<const Node*, std::string> reasons_;
  mutable QuantizationPlan plan_;
};

NeutronQuantizer::NeutronQuantizer(NeutronTargetSpec target, bool is_qat)
    : NeutronQuantizer(std::move(target), is_qat, neutron::operator_rules()) {}

NeutronQuantizer::NeutronQuantizer(NeutronTargetSpec target, bool is_qat, std::vector<neutron::OperatorRule> rules)
    : target_(std::move(target)), rules_(std::move(rules)) {
  options_.target = target_.name();
  options_.is_qat = is_qat;
}

NeutronQuantizer::NeutronQuantizer(NeutronOptions options, std::vector<neutron::OperatorRule> rules)
    : options_(std::move(options)), target_(options_.target), rules_(std::move(rules)) {
  check_options(options_, "NeutronOptions");
}

void NeutronQuantizer::run_passes(GraphModule& module) const {
  neutron::run_passes(module, neutron::default_passes(target_.limits(), options_.is_qat));
}

void NeutronQuantizer::transform_for_annotation(GraphModule& module) { run_passes(module); }

void NeutronQuantizer::annotate(GraphModule& module) {
  const QuantizationPlan plan = Annotator(*this, module.graph()).run();
  for (size_t i = 0; i < plan.overrides.size(); ++i) {
    const QuantizationPlan::Override& outcome = plan.overrides[i];
    const std::string name = octet::str("overrides[", i, "] (", options_.overrides[i].selector(), ")");
    if (outcome.matched.empty()) {
      log::warn(name, " matches no node of the model; octet quantize --explain lists the names");
    } else if (!outcome.in_effect && options_.overrides[i].quantize != true) {
      log::warn(name, " changes nothing of the ", outcome.matched.size(), " nodes that it matches");
    }
  }
  const bool any = std::any_of(plan.entries.begin(), plan.entries.end(), [](const QuantizationPlan::Entry& entry) {
    return entry.node->is_call() && is_annotated(*entry.node);
  });
  if (any) return;
  log::warn("no operator of this model is known to the ", target_.name(), " quantizer: only its inputs are quantized");
}

NeutronQuantizer::Explanation NeutronQuantizer::explain(const GraphModule& model) const {
  Explanation explanation{model.copy(), {}};
  if (!options_.is_qat) fold_batch_norms(*explanation.model);  // as prepare does
  run_passes(*explanation.model);
  explanation.plan = Annotator(*this, explanation.model->graph()).run();
  return explanation;
}

}  // namespace octet
