#include "octet/targets/engine/pattern_annotator.h"

#include <map>

#include "octet/graph/match.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/support/error.h"

namespace octet::targets {

bool PatternSubject::is_dynamic() const {
  const RoleConfig* activation = config.find(Role::kActivation);
  return activation != nullptr && activation->dynamic;
}

namespace {

bool has_op(const std::vector<std::string_view>& ops, const Node& node) {
  return std::any_of(ops.begin(), ops.end(), [&](std::string_view op) { return node.is_call(OpName(op)); });
}

const AnySpec* output_spec(const Node& node) {
  const QuantizationAnnotation* note = annotation(node);
  return note != nullptr && note->annotated && note->output_qspec ? &*note->output_qspec : nullptr;
}

// The nodes of a graph that one pattern takes together.
struct Matched {
  Node* anchor = nullptr;
  Node* batch_norm = nullptr;  // null: none
  Node* last = nullptr;        // the one that gives the pattern's result
  Role output = Role::kActivation;
};

class PatternAnnotator {
 public:
  PatternAnnotator(const PatternTable& table, const std::vector<PatternScope>& scopes, QuantizationMode mode,
                   GraphModule& module, const ChosenSpecs& specs)
      : table_(table), scopes_(scopes), mode_(mode), module_(module), specs_(specs), nodes_(module.graph().nodes()) {
    for (const ConvBatchNorm& pair : find_conv_batch_norms(module.graph())) pairs_.emplace(pair.conv, pair);
    decided_.resize(scopes.size());
    for (const Node* node : nodes_) {
      if (is_left(*node)) left_.insert(node);
    }
    const auto collect = [&](const PatternStage& stage) {
      for (const QuantizationPattern& pattern : stage) {
        if (passes_on(pattern)) sharing_ops_.insert(sharing_ops_.end(), pattern.ops.begin(), pattern.ops.end());
      }
    };
    for (const PatternStage& stage : table.stages) collect(stage);
    collect(table.propagation);
  }

  QuantizationPlan run() {
    for (size_t i = 0; i < scopes_.size(); ++i) {
      const PatternScope& scope = scopes_[i];
      if (!scope.config) continue;
      for (const PatternStage& stage : table_.stages) {
        decided_[i] += walk(stage, *scope.config, [&](const QuantizationPattern& pattern, const Node& node) {
          return scope.holds(node) && (!scope.tries || scope.tries(pattern));
        });
      }
    }
    const QuantizationConfig anything;  // shared grids ask for no numbers
    walk(table_.propagation, anything, [](const QuantizationPattern&, const Node&) { return true; });
    return plan();
  }

 private:
  static bool passes_on(const QuantizationPattern& pattern) {
    return pattern.sharing == PatternSharing::kProducer || pattern.sharing == PatternSharing::kProducerOrOwn;
  }

  // By an override, for what is written in place, or since a scope without numbers holds it.
  bool is_left(const Node& node) {
    if (std::string why = specs_.why_left_in_float(node); !why.empty()) {
      reasons_[&node] = std::move(why);
      return true;
    }
    for (size_t i = 0; i < scopes_.size(); ++i) {
      if (!node.is_call() || scopes_[i].config || !scopes_[i].holds(node)) continue;
      ++decided_[i];
      reasons_[&node] = "left in float by the quantizer's settings";
      return true;
    }
    return false;
  }

  // How many nodes a pattern took.
  template <typename Wanted>
  int64_t walk(const PatternStage& stage, const QuantizationConfig& config, const Wanted& wanted) {
    int64_t taken = 0;
    for (Node* node : nodes_) {
      if (!node->is_call() || is_annotated(*node) || left_.count(node) > 0) continue;
      for (const QuantizationPattern& pattern : stage) {
        if (!has_op(pattern.ops, *node) || !wanted(pattern, *node) || !try_pattern(pattern, *node, config)) continue;
        ++taken;
        break;
      }
    }
    return taken;
  }

  bool try_pattern(const QuantizationPattern& pattern, Node& node, const QuantizationConfig& config) {
    const PatternSubject subject{module_, node, config, mode_,
                                 [this](const Node& other) { return left_.count(&other) > 0; }};
    if (pattern.qat_only && mode_ != QuantizationMode::kQat) return false;
    if (subject.is_dynamic() && !pattern.serves_dynamic) {
      return refuse(node, "takes no grid that each run finds");
    }
    const std::optional<Matched> matched = match(pattern, node);
    if (!matched || is_claimed(pattern, *matched)) return false;
    for (const PatternCondition& condition : pattern.conditions) {
      if (std::string why = condition(subject); !why.empty()) {
        refused_.insert(&node);
        return refuse(node, std::move(why));
      }
    }
    const bool done = pattern.sharing == PatternSharing::kNone ? annotate_own(pattern, *matched, config)
                                                               : annotate_shared(pattern, node, config);
    if (done) reasons_.erase(&node);
    return done;
  }

  // The first reason is told: the pattern that comes nearest stands first.
  bool refuse(const Node& node, std::string why) {
    reasons_.try_emplace(&node, std::move(why));
    return false;
  }

  std::optional<Matched> match(const QuantizationPattern& pattern, Node& node) const {
    Matched found{&node, nullptr, &node, pattern.output};
    if (pattern.batch_norm) {
      const auto pair = pairs_.find(&node);
      if (pair == pairs_.end() || left_.count(pair->second.batch_norm) > 0) return std::nullopt;
      found.batch_norm = pair->second.batch_norm;
      found.last = pair->second.value;
    }
    if (pattern.activations.empty()) return found;
    Node* reader = sole_user(found.last);
    if (reader == nullptr || left_.count(reader) > 0 || is_annotated(*reader)) return std::nullopt;
    for (const PatternActivation& activation : pattern.activations) {
      if (!has_op(activation.ops, *reader) || reader->arg(0).node() != found.last) continue;
      found.last = reader;
      if (activation.only_at.empty() || clips_at(*reader, activation.only_at)) found.output = activation.output;
      return found;
    }
    return std::nullopt;
  }

  std::vector<Node*> parameters(const QuantizationPattern& pattern, const Node& node) const {
    std::vector<Node*> found;
    for (const InputRule& input : pattern.inputs) {
      if (family(input.role) != Role::kWeight && family(input.role) != Role::kBias) continue;
      for (Node* producer : producers(node, input)) found.push_back(producer);
    }
    return found;
  }

  bool is_claimed(const QuantizationPattern& pattern, const Matched& matched) const {
    if (matched.batch_norm != nullptr && is_annotated(*matched.batch_norm)) return true;
    if (!pattern.claims_parameters) return false;
    const std::vector<Node*> read = parameters(pattern, *matched.anchor);
    return std::any_of(read.begin(), read.end(), [](const Node* parameter) { return is_annotated(*parameter); });
  }

  // Inputs and result have grids of their own, as far as their roles have numbers.
  bool annotate_own(const QuantizationPattern& pattern, const Matched& matched, const QuantizationConfig& config) {
    QuantizationAnnotation note;
    note.annotated = true;
    if (pattern.batch_norm) note.joins_batch_norm = pattern.trains_batch_norm;
    Node* input = nullptr;
    Node* weight = nullptr;
    for (const InputRule& rule : pattern.inputs) {
      const RoleConfig* numbers = config.find(rule.role);
      for (Node* producer : producers(*matched.anchor, rule)) {
        if (note.input(producer) != nullptr) continue;  // x + x: one edge
        if (auto spec = input_spec(pattern, rule, numbers, *matched.anchor, producer, input, weight)) {
          note.set_input(producer, std::move(*spec));
        }
        (input == nullptr ? input : weight) = producer;
      }
    }
    const RoleConfig* numbers = config.find(matched.output);
    const bool has_output = numbers != nullptr && !numbers->dynamic;
    if (note.input_qspec_map.empty() && !has_output) return refuse(*matched.anchor, "its values stay in float");
    ensure_annotation(*matched.anchor) = std::move(note);
    for (Node* node : {matched.batch_norm, matched.last}) {
      if (node == nullptr || node == matched.anchor) continue;
      ensure_annotation(*node).annotated = true;
      reasons_[node] = octet::str("computed together with '", matched.anchor->name(), "'");
    }
    for (Node* parameter : parameters(pattern, *matched.anchor)) ensure_annotation(*parameter).annotated = true;
    if (has_output) {
      const std::vector<const Node*> owners = {matched.last, matched.anchor, matched.batch_norm};
      ensure_annotation(*matched.last).output_qspec = specs_.activation(*numbers, owners);
    }
    return true;
  }

  std::optional<AnySpec> input_spec(const QuantizationPattern& pattern, const InputRule& rule,
                                    const RoleConfig* numbers, Node& node, Node* producer, Node* input,
                                    Node* weight) const {
    const bool is_activation = family(rule.role) == Role::kActivation;
    if (is_activation && pattern.input_spec == InputSpec::kOfProducer && is_annotated(*producer)) {
      const AnySpec* lent = output_spec(*producer);
      return lent != nullptr ? std::optional(*lent) : std::nullopt;
    }
    if (numbers == nullptr) return std::nullopt;
    if (numbers->derived) {
      const bool transposed = numbers->per_channel && node.is(Trait::kTransposed);
      return make_bias_spec(*numbers, &node, input, weight != nullptr ? weight : input, transposed);
    }
    if (family(rule.role) == Role::kBias) return make_spec(*numbers, rule.channel_axis, mode_);
    const bool is_weight = family(rule.role) == Role::kWeight;
    return sized_for(
        *producer, is_weight ? specs_.weight(*numbers, rule.channel_axis, node) : specs_.activation(*numbers, {&node}),
        *numbers);
  }

  bool annotate_shared(const QuantizationPattern& pattern, Node& node, const QuantizationConfig& config) {
    std::vector<Node*> inputs;
    if (pattern.sharing == PatternSharing::kInputs) {
      for (const InputRule& input : pattern.inputs) {
        for (Node* producer : producers(node, input)) inputs.push_back(producer);
      }
    } else if (node.arg(0).is_node()) {
      inputs.push_back(node.arg(0).node());
    }
    if (inputs.empty()) return false;
    Node* owner = inputs.front();
    bool lent = false;  // by the owner's output; else its edge has a grid of its own
    if (pattern.sharing == PatternSharing::kInputs) {
      const auto with_grid =
          std::find_if(inputs.begin(), inputs.end(), [&](Node* input) { return leads_to_grid(input); });
      if (with_grid != inputs.end()) owner = *with_grid;
    } else {
      lent = output_spec(*owner) != nullptr;
      if (!lent && pattern.sharing == PatternSharing::kProducer) {
        return refuse(node, octet::str("passes on the grid of '", owner->name(), "', which has none"));
      }
    }
    const RoleConfig* numbers = config.find(Role::kActivation);
    if (!lent && numbers == nullptr) return refuse(node, "activations stay in float");
    const AnySpec shared = SharedQuantizationSpec{lent ? EdgeOrNode(owner) : EdgeOrNode(owner, &node)};
    QuantizationAnnotation note;
    note.annotated = true;
    note.set_input(owner, lent ? shared : specs_.activation(*numbers, {&node}));
    for (Node* input : inputs) {
      if (input != owner) note.set_input(input, shared);
    }
    note.output_qspec = shared;
    ensure_annotation(node) = std::move(note);
    return true;
  }

  bool leads_to_grid(const Node* value) const {
    while (output_spec(*value) == nullptr) {
      if (!has_op(sharing_ops_, *value) || !value->arg(0).is_node()) return false;
      value = value->arg(0).node();
    }
    return true;
  }

  QuantizationPlan plan() {
    QuantizationPlan plan;
    plan.overrides = specs_.overrides();
    plan.scopes = decided_;
    for (const Node* node : nodes_) {
      if (node->kind() == NodeKind::kPlaceholder) {
        plan.entries.push_back({node, "its readers decide"});
      } else if (node->is_call()) {
        plan.entries.push_back({node, reason_of(*node), refused_.count(node) > 0 && !is_annotated(*node)});
      }
    }
    return plan;
  }

  std::string reason_of(const Node& node) const {
    const auto found = reasons_.find(&node);
    if (found != reasons_.end()) return found->second;
    if (!is_annotated(node)) return "no pattern";
    if (output_spec(node) != nullptr) return "";
    const Node* reader = sole_user(&node);
    return reader != nullptr && is_annotated(*reader) && !annotation(*reader)->input(&node)
               ? octet::str("computed together with '", reader->name(), "'")
               : "its result stays in float";
  }

  const PatternTable& table_;
  const std::vector<PatternScope>& scopes_;
  QuantizationMode mode_;
  GraphModule& module_;
  const ChosenSpecs& specs_;
  std::vector<Node*> nodes_;
  std::unordered_map<const Node*, ConvBatchNorm> pairs_;  // by convolution
  std::unordered_set<const Node*> left_;                  // in float
  std::vector<std::string_view> sharing_ops_;             // that pass a grid on
  std::map<const Node*, std::string> reasons_;
  std::vector<int64_t> decided_;             // operators, by scope
  std::unordered_set<const Node*> refused_;  // by a condition
};

}  // namespace

QuantizationPlan annotate_patterns(const PatternTable& table, const std::vector<PatternScope>& scopes,
                                   QuantizationMode mode, GraphModule& module, const ChosenSpecs& specs) {
  return PatternAnnotator(table, scopes, mode, module, specs).run();
}

}  // namespace octet::targets
