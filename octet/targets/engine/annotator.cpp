#include "octet/targets/engine/annotator.h"

#include <functional>
#include <map>
#include <unordered_set>

#include "octet/quantize/constant_fold.h"
#include "octet/support/error.h"
#include "octet/targets/engine/chosen_specs.h"
#include "octet/targets/engine/kept_in_float.h"
#include "octet/targets/engine/passes/rewrite.h"
#include "octet/targets/engine/pattern_annotator.h"
#include "octet/targets/engine/shared_rows.h"

namespace octet::targets {
namespace {

bool lends_parameters(const Node* producer) {
  const QuantizationAnnotation* note = annotation(*producer);
  return note != nullptr && note->output_qspec.has_value();
}

bool normalizes(const Node& norm, const Node& input) {
  return norm.is_call("aten.batch_norm.default") && norm.arg("input").node() == &input;
}

// What can be quantized: float64 is not.
bool is_float_type(at::ScalarType type) { return at::isFloatingType(type) && type != at::kDouble; }

bool is_float_value(const Node& node) { return !node.meta() || is_float_type(node.meta()->dtype); }

// The type of an element of a result, where it is known.
bool is_float_element(const Node& element) {
  if (element.meta()) return is_float_type(element.meta()->dtype);
  const std::vector<TensorMeta>& all = element.arg(size_t{0}).node()->element_metas();
  const auto index = static_cast<size_t>(element.arg(1).to_int());
  return index < all.size() && is_float_type(all[index].dtype);
}

// True where a value of these numbers may lie on the fixed grid as it is.
bool holds(const FixedQParamsQuantizationSpec& grid, const RoleConfig& numbers) {
  const bool symmetric = grid.qscheme == at::kPerTensorSymmetric;
  return grid.dtype == numbers.dtype && grid.quant_min == numbers.quant_min && grid.quant_max == numbers.quant_max &&
         symmetric == numbers.symmetric;
}

// True where values of the role have a grid before the program runs.
bool has_known_grid(const RoleConfig* numbers) { return numbers != nullptr && !numbers->dynamic; }

// One walk in graph order: every producer is decided before its readers, so that shared parameters need no second look,
// and no rule can come too early.
class Annotator {
  using NodeNumbers = decltype(Scheme::for_node);

 public:
  Annotator(const Target& target, const QuantizerOptions& options, GraphModule& module, const ConfigOf& own_config)
      : target_(target),
        options_(options),
        own_config_(own_config),
        graph_(module.graph()),
        config_(target.config(options.scheme, options)),
        constants_(constant_nodes(graph_)),
        specs_(options, graph_) {
    for (const Override& choice : options.overrides) {
      schemes_.push_back(choice.scheme.empty() ? QuantizationConfig() : target.config(choice.scheme, options));
      scheme_nodes_.push_back(choice.scheme.empty() ? NodeNumbers() : target.find_scheme(choice.scheme)->for_node);
    }
    nodes_ = (options.scheme.empty() ? target.schemes.front() : *target.find_scheme(options.scheme)).for_node;
    find_factors();
    const auto stays_in_float = [&](const Node& node) {
      return target_.rules.find(node) == nullptr || specs_.is_left_in_float(node);
    };
    divisors_ = float_divisors(module, stays_in_float);
    angles_ = float_angles(module, stays_in_float);
  }

  QuantizationPlan run() {
    for (Node* node : graph_.nodes()) {
      const bool input = node->kind() == NodeKind::kPlaceholder;
      if (node->kind() == NodeKind::kGetItem) annotate_element(*node);
      if (!input && !node->is_call()) continue;
      if (input) {
        annotate_placeholder(*node);
      } else if (!is_annotated(*node)) {
        annotate(*node);
      }
    }
    for (Node* node : graph_.nodes()) {
      if (is_annotated(*node)) ensure_annotation(*node).narrows_inputs = config_.narrows_ranges;
      const bool counts = node->kind() == NodeKind::kPlaceholder || node->is_call();
      if (counts) plan_.entries.push_back({node, reasons_[node]});
    }
    plan_.overrides = specs_.overrides();
    return std::move(plan_);
  }

 private:
  bool is_qat() const { return options_.mode == QuantizationMode::kQat; }

  // The values that a product of two computed values reads, itself or behind operators that share their grid. Readers
  // stand behind what they read: one walk backwards.
  void find_factors() {
    const std::vector<Node*> nodes = graph_.nodes();
    for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
      const OperatorRule* rule = (*it)->is_call() ? target_.rules.find(**it) : nullptr;
      if (rule == nullptr || specs_.is_left_in_float(**it)) continue;
      const bool passes_on = rule->sharing != Sharing::kNone && factors_.count(*it) > 0;
      for (const InputRule& input : rule->inputs) {
        if (!passes_on && input.role != Role::kProductOperand) continue;
        for (const Node* producer : producers(**it, input)) factors_.insert(producer);
      }
    }
  }

  // The numbers of such products where the target has any of their own, known beforehand.
  static const RoleConfig* product_numbers(const QuantizationConfig& config) {
    const RoleConfig* numbers = config.find(Role::kProductOperand);
    const bool own = config.owner(Role::kProductOperand) == Role::kProductOperand;
    return own && has_known_grid(numbers) && !numbers->fixed ? numbers : nullptr;
  }

  // The numbers of a result. On those of a product from the start, a factor needs no second grid in front of it.
  const RoleConfig* result_numbers(const Node& value, Role role, const QuantizationConfig& config) const {
    const RoleConfig* factor = product_numbers(config);
    const bool is_factor = factor != nullptr && config.owner(role) == Role::kActivation && factors_.count(&value) > 0;
    return is_factor ? factor : config.find(role);
  }

  // The product that a BatchNorm of training goes into: the two are one, in float or quantized.
  const Node* product_of_batch_norm(const Node& node) const {
    if (!is_qat() || !node.is_call("aten.batch_norm.default")) return nullptr;
    const Node* product = node.arg("input").node();
    const OperatorRule* rule = product == nullptr ? nullptr : target_.rules.find(*product);
    const bool joined = rule != nullptr && rule->drops_output_before_batch_norm && only_user(*product) == &node;
    return joined ? product : nullptr;
  }

  // What the node is decided with.
  const Node& decider_of(const Node& node) const {
    const Node* product = product_of_batch_norm(node);
    return product != nullptr ? *product : node;
  }

  const QuantizationConfig& config_of(const Node& node) const {
    const Node& asked = decider_of(node);
    if (own_config_) {
      if (const QuantizationConfig* own = own_config_(asked)) return *own;
    }
    const std::optional<size_t> chosen = specs_.follow(specs_.of(asked).scheme);
    if (const NodeNumbers& numbers = chosen ? scheme_nodes_[*chosen] : nodes_) {
      const auto known = node_configs_.find(&asked);
      if (known != node_configs_.end()) return known->second;
      if (auto own = numbers(asked, options_)) return node_configs_.emplace(&asked, std::move(*own)).first->second;
    }
    return chosen ? schemes_[*chosen] : config_;
  }

  static void write_output(Node& node, AnySpec output) {
    QuantizationAnnotation& note = ensure_annotation(node);
    note.output_qspec = std::move(output);
    note.annotated = true;
  }

  void annotate_placeholder(Node& node) {
    if (std::string why = specs_.why_left_in_float(node); !why.empty()) {
      reasons_[&node] = std::move(why);
      return;
    }
    if (!is_float_value(node) || node.user_count() == 0) {
      reasons_[&node] = node.user_count() == 0 ? "nothing reads it" : "its value is no float tensor";
      return;
    }
    if (const char* why = why_in_float(node)) {
      reasons_[&node] = why;
      return;
    }
    const QuantizationConfig& config = config_of(node);
    const RoleConfig* numbers = config.find(Role::kActivation);
    if (!config.quantize_inputs || !has_known_grid(numbers)) {
      reasons_[&node] = "its readers decide";
    } else {
      write_output(node, specs_.activation(*numbers, {&node}));
    }
  }

  void annotate(Node& node) {
    if (constants_.count(&node) > 0 && !config_.quantize_constants) {
      reasons_[&node] = "computed from parameters alone: a weight, which its readers quantize";
      return;
    }
    const OperatorRule* rule = target_.rules.find(node);
    const Node& decider = decider_of(node);
    if (std::string why = specs_.why_left_in_float(decider); !why.empty()) {
      const bool together = &decider != &node;
      reasons_[&node] = together ? octet::str("computed together with '", decider.name(), "', in float") : why;
      return;
    }
    if (rule == nullptr) {
      reasons_[&node] = "no rule";
    } else if (const char* reason = why_in_float(node)) {
      reasons_[&node] = reason;
    } else if (rule->qat_only && !is_qat()) {
      reasons_[&node] = "no rule after training";
    } else if (!is_float_value(node) && !(rule->reads_floats && reads_float(node, *rule))) {
      reasons_[&node] = rule->reads_floats ? "reads no float tensor" : "its value is no float tensor";
    } else {
      annotate_by(node, *rule, config_of(node));
    }
  }

  // What it gives means nothing on integers to those that read it; nullptr where it does.
  const char* why_in_float(const Node& node) const {
    if (divisors_.count(&node) > 0) return "an operator in float divides by it: on integers it could become 0";
    if (angles_.count(&node) > 0)
      return "sin and cos read it in float: an angle of many turns has no place on integers";
    return nullptr;
  }

  static bool reads_float(const Node& node, const OperatorRule& rule) {
    return std::any_of(rule.inputs.begin(), rule.inputs.end(), [&](const InputRule& input) {
      const std::vector<Node*> read = producers(node, input);
      return std::any_of(read.begin(), read.end(), [](const Node* producer) { return is_float_value(*producer); });
    });
  }

  // An element of a result on which its operator has decided, or one that no row speaks of.
  void annotate_element(Node& node) {
    Node* whole = node.arg(size_t{0}).node();
    if (target_.rules.find(node) == nullptr || is_annotated(node) || !is_float_element(node)) return;
    if (divisors_.count(&node) > 0) return;
    if (specs_.is_left_in_float(*whole) || specs_.is_left_in_float(node)) return;
    const RoleConfig* numbers = config_of(node).find(Role::kActivation);
    if (lends_parameters(whole)) {
      write_output(node, SharedQuantizationSpec{EdgeOrNode(whole)});
    } else if (has_known_grid(numbers)) {
      write_output(node, specs_.activation(*numbers, {&node}));
    }
  }

  // Why a weight cannot have the blocks that are asked for; empty where it can.
  static std::string why_no_weight(const Node& node, const OperatorRule& rule, const QuantizationConfig& config) {
    for (const InputRule& input : rule.inputs) {
      const RoleConfig* numbers = family(input.role) == Role::kWeight ? config.find(input.role) : nullptr;
      if (numbers == nullptr) continue;
      for (const Node* producer : producers(node, input)) {
        if (std::string why = why_no_blocks(*numbers, *producer); !why.empty()) return why;
      }
    }
    return "";
  }

  void annotate_by(Node& node, const OperatorRule& rule, const QuantizationConfig& config) {
    const RoleConfig* activation = config.find(Role::kActivation);
    if (std::string why = why_no_weight(node, rule, config); !why.empty()) {
      reasons_[&node] = std::move(why);
      return;
    }
    if (!has_known_grid(activation) && (!rule.has_weight() || rule.sharing != Sharing::kNone)) {
      // A grid that each run finds pays where it meets a weight.
      reasons_[&node] = activation == nullptr ? "activations stay in float" : "has no weight, and grids are dynamic";
    } else if (!rule.own_output_at.empty() && clips_at(node, rule.own_output_at)) {
      annotate_inputs(node, {{rule.inputs[0].argument, Role::kActivation}}, config);
      write_output(node, specs_.activation(*result_numbers(node, Role::kActivation, config), {&node}));
    } else if (rule.may_share_input && config.shares_exponentials) {
      OperatorRule shared = rule;
      shared.sharing = Sharing::kFirstInput;
      annotate_shared(node, shared, *activation, config);
    } else if (rule.sharing != Sharing::kNone) {
      annotate_shared(node, rule, *activation, config);
    } else {
      if (product_of_batch_norm(node) == nullptr) annotate_inputs(node, rule.inputs, config);
      annotate_output(node, rule, config);
    }
  }

  void annotate_shared(Node& node, const OperatorRule& rule, const RoleConfig& activation,
                       const QuantizationConfig& config) {
    std::vector<Node*> inputs;
    for (const InputRule& input : rule.inputs) {
      for (Node* producer : producers(node, input)) {
        if (is_float_value(*producer)) inputs.push_back(producer);
      }
    }
    if (inputs.empty()) return;
    if (rule.sharing == Sharing::kJoining) return annotate_joining(node, inputs, config);
    if (rule.sharing == Sharing::kOwn || rule.sharing == Sharing::kFirstInputOrOwn) {
      const bool lent = rule.sharing == Sharing::kFirstInputOrOwn && lends_parameters(inputs.front());
      return share_all(node, inputs, lent ? EdgeOrNode(inputs.front()) : EdgeOrNode(inputs.front(), &node),
                       [&] { return input_spec({}, activation, config, node, inputs.front()); });
    }
    const auto own = [&] { return specs_.activation(activation, {&node}); };
    reasons_[&node] = octet::str("would share the grid of '", inputs.front()->name(), "', which has none");
    if (rule.sharing == Sharing::kFirstInput) {
      if (!lends_parameters(inputs.front())) return;
      const bool cut_off = rule.leaves_range && rows_.fixed_grid(inputs.front()) != nullptr;
      share_all(node, inputs, cut_off ? EdgeOrNode(inputs.front(), &node) : EdgeOrNode(inputs.front()), own);
      return;
    }
    // An observed grid first: on another's fixed grid, values beyond it would be cut off.
    const auto observed = std::find_if(inputs.begin(), inputs.end(), [&](Node* producer) {
      return lends_parameters(producer) && rows_.fixed_grid(producer) == nullptr;
    });
    if (observed != inputs.end()) return share_all(node, inputs, EdgeOrNode(*observed), own);
    const bool any = std::any_of(inputs.begin(), inputs.end(), lends_parameters);
    if (!any && rule.sharing != Sharing::kAnyInputOrOwn) return;
    const auto* first = rows_.fixed_grid(inputs.front());
    const bool same_grid = first != nullptr && std::all_of(inputs.begin(), inputs.end(), [&](Node* producer) {
                             const auto* grid = rows_.fixed_grid(producer);
                             return grid != nullptr && *grid == *first;
                           });
    share_all(node, inputs, same_grid ? EdgeOrNode(inputs.front()) : EdgeOrNode(inputs.front(), &node), own);
  }

  // All edges and the output have the parameters of `anchor`; where that is one of the edges, its spec is what `own`
  // makes.
  void share_all(Node& node, const std::vector<Node*>& inputs, const EdgeOrNode& anchor,
                 const std::function<AnySpec()>& own) {
    reasons_.erase(&node);
    QuantizationAnnotation note;
    note.annotated = true;
    const AnySpec shared = SharedQuantizationSpec{anchor};
    for (Node* producer : inputs) {
      note.set_input(producer, EdgeOrNode(producer, &node) == anchor ? own() : shared);
    }
    note.output_qspec = shared;
    ensure_annotation(node) = std::move(note);
  }

  // What shares a grid goes on to share it, so that the range that the result hands back reaches all of them.
  void annotate_joining(Node& node, const std::vector<Node*>& inputs, const QuantizationConfig& config) {
    const RoleConfig& numbers = *config.find(Role::kActivation);
    const RoleConfig& joined = *config.find(Role::kJoined);
    AnySpec output = make_spec(joined, 0, options_.mode);
    QuantizationAnnotation note;
    note.annotated = true;
    for (Node* producer : inputs) {
      const QuantizationAnnotation* lender = annotation(std::as_const(*producer));
      const bool shares =
          lends_parameters(producer) && std::holds_alternative<SharedQuantizationSpec>(*lender->output_qspec);
      note.set_input(producer, shares ? AnySpec(SharedQuantizationSpec{EdgeOrNode(producer)})
                                      : input_spec({}, numbers, config, node, producer));
      // A value that no operator gave a grid keeps the one that its readers ask for, as in the reference.
      if (joined.leads && lends_parameters(producer))
        std::get<QuantizationSpec>(output).followers.emplace_back(producer, &node);
    }
    note.output_qspec = std::move(output);
    ensure_annotation(node) = std::move(note);
  }

  void annotate_inputs(Node& node, const std::vector<InputRule>& rules, const QuantizationConfig& config) {
    QuantizationAnnotation& note = ensure_annotation(node);
    note.annotated = true;
    Node* input = nullptr;
    Node* weight = nullptr;
    for (const InputRule& rule : rules) {
      const RoleConfig* numbers = config.find(rule.role);
      for (Node* producer : producers(node, rule)) {
        if (note.input(producer) != nullptr || !is_float_value(*producer)) continue;  // x + x: one edge
        if (numbers != nullptr && numbers->derived) {
          note.set_input(producer, make_bias_spec(*numbers, &node, input, weight ? weight : input,
                                                  numbers->per_channel && reads_transposed(rules)));
        } else if (numbers != nullptr) {
          note.set_input(producer, input_spec(rule, *numbers, config, node, producer));
        }
        (input == nullptr ? input : weight) = producer;
      }
    }
  }

  static bool reads_transposed(const std::vector<InputRule>& rules) {
    return std::any_of(rules.begin(), rules.end(),
                       [](const InputRule& rule) { return rule.role == Role::kTransposedConvWeight; });
  }

  AnySpec input_spec(const InputRule& rule, const RoleConfig& numbers, const QuantizationConfig& config,
                     const Node& node, Node* producer) const {
    // A second grid for the same value would only cost a requantization.
    const Role owner = config.owner(rule.role);
    const bool takes_any = owner == Role::kActivation || owner == Role::kConvActivation;
    if ((takes_any || owner == Role::kProductOperand) && !numbers.dynamic) {
      const FixedQParamsQuantizationSpec* fixed = takes_any ? rows_.fixed_grid(producer) : nullptr;
      if (fixed != nullptr && holds(*fixed, numbers)) return SharedQuantizationSpec{EdgeOrNode(producer)};
      for (const RoleConfig* lender : {&numbers, takes_any ? product_numbers(config) : nullptr}) {
        if (lender == nullptr) continue;
        if (const AnySpec* lent = same_but_observer(rows_.concrete_output(producer), *lender)) return *lent;
      }
      if (const AnySpec* lent = same_but_observer(first_edge(config, producer), numbers)) return *lent;
    }
    switch (family(rule.role)) {
      case Role::kWeight:
        return sized_for(*producer, specs_.weight(numbers, rule.channel_axis, node), numbers);
      case Role::kBias:
        return make_spec(numbers, rule.channel_axis, options_.mode);
      default:
        return specs_.activation(numbers, {&node});
    }
  }

  // Where products have an activation of their own, the first reader of a value without a spec decides for all.
  const AnySpec* first_edge(const QuantizationConfig& config, Node* producer) const {
    if (config.roles.count(Role::kConvActivation) == 0 || lends_parameters(producer)) return nullptr;
    for (const Node* reader : producer->users()) {
      const QuantizationAnnotation* note = annotation(*reader);
      if (const AnySpec* edge = note == nullptr ? nullptr : note->input(producer)) return edge;
    }
    return nullptr;
  }

  // The spec where it is an activation's of these numbers, whatever observes it.
  const AnySpec* same_but_observer(const AnySpec* lent, const RoleConfig& numbers) const {
    const auto* observed = lent == nullptr ? nullptr : std::get_if<QuantizationSpec>(lent);
    if (observed == nullptr) return nullptr;
    AnySpec own = make_spec(numbers, 0, options_.mode);
    auto* spec = std::get_if<QuantizationSpec>(&own);
    if (spec == nullptr) return nullptr;
    spec->observer_or_fake_quant = observed->observer_or_fake_quant;
    spec->followers = observed->followers;
    return *spec == *observed ? lent : nullptr;
  }

  void annotate_output(Node& node, const OperatorRule& rule, const QuantizationConfig& config) {
    const RoleConfig* numbers = result_numbers(node, rule.output, config);
    if (!has_known_grid(numbers) || !is_float_value(node)) {
      reasons_[&node] = "its result stays in float";
      return;
    }
    if (annotate_fused_activation(node, rule, config)) return;
    if (is_qat() && rule.drops_output_before_batch_norm) {
      const Node* user = only_user(node);
      if (user != nullptr && normalizes(*user, node)) {
        reasons_[&node] = together(*user);
        return;
      }
    }
    write_output(node, specs_.activation(*numbers, {&node, product_of_batch_norm(node)}));
  }

  static std::string together(const Node& other) { return octet::str("computed together with '", other.name(), "'"); }

  // The node and the activation behind it become one: nothing is quantized between them.
  bool annotate_fused_activation(Node& node, const OperatorRule& rule, const QuantizationConfig& config) {
    if (rule.fusion == Fusion::kNone) return false;
    if (rule.fusion == Fusion::kActivationIfMatrix && (!node.meta() || node.meta()->rank() > 2)) return false;
    Node* user = only_user(node);
    Node* norm = nullptr;
    if (user != nullptr && is_qat() && rule.fusion == Fusion::kActivationThroughBatchNorm && normalizes(*user, node)) {
      norm = user;
      user = only_user(*norm);
    }
    if (user == nullptr || is_annotated(*user) || specs_.is_left_in_float(decider_of(*user)) ||
        divisors_.count(user) > 0)
      return false;
    if (!target_.rules.is_fusable_activation(*user)) return false;
    const Role output = target_.rules.find(*user)->output;
    const RoleConfig* numbers = result_numbers(*user, output == Role::kShared ? Role::kActivation : output, config);
    if (!has_known_grid(numbers) || (numbers->fixed && !config.fuse_fixed_activations)) return false;
    if (norm != nullptr) {
      ensure_annotation(*norm).annotated = true;
      reasons_[norm] = together(node);
    }
    write_output(*user, specs_.activation(*numbers, {user, &node, norm, product_of_batch_norm(node)}));
    reasons_[&node] = together(*user);
    reasons_[user] = together(node);
    return true;
  }

  const Target& target_;
  const QuantizerOptions& options_;
  const ConfigOf& own_config_;
  Graph& graph_;
  QuantizationConfig config_;  // of the scheme for all
  std::unordered_set<const Node*> constants_;
  ChosenSpecs specs_;
  std::vector<QuantizationConfig> schemes_;  // of the one that each override names
  NodeNumbers nodes_;                        // of single nodes in the scheme for all, and in those of overrides
  std::vector<NodeNumbers> scheme_nodes_;
  mutable std::map<const Node*, QuantizationConfig> node_configs_;  // of those that have their own
  std::map<const Node*, std::string> reasons_;
  QuantizationPlan plan_;
  std::unordered_set<const Node*> factors_;
  std::unordered_set<const Node*> divisors_;  // that an operator in float divides by
  std::unordered_set<const Node*> angles_;    // that sin and cos read in float
  mutable SharedRows rows_;
};

}  // namespace

QuantizationPlan annotate(const Target& target, const QuantizerOptions& options, GraphModule& module,
                          const ConfigOf& own_config) {
  if (!target.patterns) return Annotator(target, options, module, own_config).run();
  const ChosenSpecs specs(options, module.graph());
  std::vector<PatternScope> scopes;
  for (size_t i = 0; i < options.overrides.size(); ++i) {
    const std::string& scheme = options.overrides[i].scheme;
    if (scheme.empty()) continue;
    const auto chosen = [&specs, i](const Node& node) { return specs.of(node).scheme == i && specs.follow(i); };
    scopes.push_back({chosen, target.config(scheme, options)});
  }
  const auto others = [&specs](const Node& node) { return !specs.of(node).scheme.has_value(); };
  scopes.push_back({others, target.config(options.scheme, options)});
  return annotate_patterns(target.patterns(options), scopes, options.mode, module, specs);
}

}  // namespace octet::targets
